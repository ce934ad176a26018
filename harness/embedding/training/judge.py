"""How a model does while it is trained: nDCG on dev, and whether its embeddings collapse."""

from __future__ import annotations

import numpy as np

from harness.embedding.encoder import embed_prepared
from harness.embedding.evaluation import hash_task, own_documents
from harness.embedding.measures.geometry import anisotropy, effective_rank
from harness.embedding.measures.ranking import Judgements, ndcg
from harness.embedding.retrieval import exact_ranking
from harness.embedding.tasks import Retrieval
from harness.embedding.training.dual_encoder import DualEncoder
from harness.embedding.variants import Variant

_AT = 10
# Embeddings of which the mean cosine is above this, or the effective rank below that, say little of their texts.
_MOST_ALIKE = 0.9
_LEAST_RANK = 3.0
_SAMPLE = 2000


class Judge:
    """A retrieval task whose texts are prepared once, by the towers that will be judged."""

    def __init__(self, task: Retrieval, model: DualEncoder) -> None:
        self.task_hash = hash_task(task)
        self._judgements = Judgements.build(task.judgements, task.document_ids)
        own = own_documents(task, self._judgements)
        self._documents = model.document.prepare(task.documents, "document")
        row = {name: number for number, name in enumerate(task.query_ids)}
        rows = [row[name] for name in self._judgements.queries]
        self._own = None if own is None else own[rows]
        texts = [task.queries[number] for number in rows]
        self._queries = model.query.prepare(texts, "query")

    def judge(self, model: DualEncoder) -> dict[str, float]:
        """Return `ndcg@10`, the `mean_cosine` and `effective_rank` of documents, and `collapsed`, 1 for an alarm."""
        documents = embed_prepared(model.document, self._documents)
        queries = embed_prepared(model.query, self._queries)
        ranked = exact_ranking(
            queries, documents, Variant().fit(documents), _AT, self._judgements.precedence, self._own
        )
        some = documents[np.any(documents, axis=1)][:_SAMPLE]
        cosine = anisotropy(some) if len(some) > 1 else 1.0
        rank = effective_rank(some) if len(some) else 0.0
        return {
            "ndcg@10": float(ndcg(self._judgements, ranked, _AT).mean()),
            "mean_cosine": cosine,
            "effective_rank": rank,
            "collapsed": float(cosine > _MOST_ALIKE or rank < _LEAST_RANK),
        }
