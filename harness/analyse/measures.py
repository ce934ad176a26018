"""The one table of measures: name, unit, direction, formatter and function of each figure that a result gives.

The command line, the pictures, the export and the HTML report all read `MEASURES`, so that a figure is called, rounded
and ranked the same everywhere. Time, build and memory are measured of every workload; what else there is each workload
declares. The recall of any of them is `recall`: what frontiers are drawn over.
"""

from __future__ import annotations

import math
from dataclasses import replace

from harness.analyse import figures
from harness.core.errors import UnknownNameError
from harness.store.result import Result
from harness.workloads.catalogue import WORKLOADS, find_workload
from harness.workloads.measure import SINGLE, Measure, format_bytes, format_count, format_seconds, format_share

RECALL = Measure(
    name="recall",
    title="Recall@k",
    unit="",
    better="higher",
    formatter=format_share,
    function=lambda result: figures.mean(figures.query_recall(result)),
    about="share of what should be found that was: of the k nearest (ties count), or of all rows within the radius",
)

_COMMON = (
    Measure(
        name="recall_worst5",
        title="Recall of the worst 5%",
        unit="",
        better="higher",
        formatter=format_share,
        function=figures.recall_worst,
        about="mean recall of the 5% of queries that were answered worst",
    ),
    Measure(
        name="qps",
        title="Queries per second",
        unit="1/s",
        better="higher",
        formatter=format_count,
        function=figures.qps,
        about="queries answered over summed latency, the median over passes that nothing disturbed",
    ),
    Measure(
        name="qps_cpu",
        title="Queries per second of CPU time",
        unit="1/s",
        better="higher",
        formatter=format_count,
        function=figures.qps_cpu,
        about="queries answered over the CPU time of their passes (all threads' in batch mode), the median over passes",
    ),
    Measure(
        name="qps_annb",
        title="Queries per second (ann-benchmarks)",
        unit="1/s",
        better="higher",
        formatter=format_count,
        function=figures.qps_annb,
        about="the best of all repetitions, as ann-benchmarks quotes it; for comparison with its figures only",
    ),
    *(
        Measure(
            name=name,
            title=f"Latency {name}",
            unit="µs",
            better="lower",
            formatter=format_count,
            function=figures.latency_percentile(share),
            about=f"{share:g}% of the queries were answered within this time",
            modes=SINGLE,
        )
        for name, share in (("p50", 50.0), ("p95", 95.0), ("p99", 99.0), ("p99.9", 99.9))
    ),
    Measure(
        name="build_seconds",
        title="Build time",
        unit="s",
        better="lower",
        formatter=format_seconds,
        function=figures.over_processes(lambda process: process.build_seconds),
        about="wall time of fit, the median over processes; compilation apart",
    ),
    Measure(
        name="compile_seconds",
        title="Compile time",
        unit="s",
        better="lower",
        formatter=format_seconds,
        function=figures.over_processes(lambda process: process.compile_seconds),
        about="just-in-time compilation before the build, the median over processes",
    ),
    Measure(
        name="index_bytes",
        title="Index size",
        unit="bytes",
        better="lower",
        formatter=format_bytes,
        function=figures.index_bytes,
        about="all that a search touches, kept vectors included, as the plug-in states it",
    ),
    Measure(
        name="bytes_per_vector",
        title="Bytes per vector",
        unit="bytes",
        better="lower",
        formatter=format_count,
        function=figures.bytes_per_vector,
        about="index size over the number of vectors",
    ),
    Measure(
        name="uss_growth",
        title="Memory growth in the build",
        unit="bytes",
        better="lower",
        formatter=format_bytes,
        function=figures.over_processes(figures.growth),
        about="memory of the process's own (USS) after fit less that before it, in a fresh process",
    ),
    Measure(
        name="peak_build",
        title="Peak memory in the build",
        unit="bytes",
        better="lower",
        formatter=format_bytes,
        function=figures.over_processes(lambda process: process.peak_build, max),
        about="most memory held while building, the data included",
    ),
    Measure(
        name="peak_search",
        title="Peak memory in the search",
        unit="bytes",
        better="lower",
        formatter=format_bytes,
        function=figures.over_processes(lambda process: process.peak_search, max),
        about="most memory held while searching, the data included",
    ),
    Measure(
        name="distance_computations",
        title="Distance computations",
        unit="per query",
        better="lower",
        formatter=format_count,
        function=figures.distance_computations,
        about="distances computed for a query, where the plug-in counts them",
    ),
    Measure(
        name="save_seconds",
        title="Time to save",
        unit="s",
        better="lower",
        formatter=format_seconds,
        function=figures.over_processes(lambda process: process.save_seconds),
        about="wall time to write the index to disk",
    ),
    Measure(
        name="restore_seconds",
        title="Time to restore",
        unit="s",
        better="lower",
        formatter=format_seconds,
        function=figures.over_processes(lambda process: process.restore_seconds),
        about="wall time to read the index back from disk",
    ),
)

_OWN = [replace(measure, workload=name) for name in WORKLOADS for measure in find_workload(name).measures]

MEASURES: dict[str, Measure] = {RECALL.name: RECALL, **{measure.name: measure for measure in (*_OWN, *_COMMON)}}
"""Every measure by its name, in the order of a table's columns: recall, what workloads have beside it, and the rest."""


def measure(name: str) -> Measure:
    """Return the measure called `name`; an unknown name suggests the nearest."""
    try:
        return MEASURES[name]
    except KeyError:
        raise UnknownNameError("measure", name, MEASURES) from None


def break_even_queries(result: Result, reference: Result) -> float:
    """Count the queries after which building the index has paid off against searching with `reference`.

    `build_seconds / (1 / qps_reference - 1 / qps)`: inf where the index is not faster, nan where a figure is missing.
    The reference's own build is not counted: it is meant to be brute force.
    """
    return break_even(MEASURES["build_seconds"](result), MEASURES["qps"](result), MEASURES["qps"](reference))


def break_even(build_seconds: float, qps: float, reference_qps: float) -> float:
    """Count the queries as `break_even_queries` does, of the figures themselves."""
    if math.isnan(build_seconds + qps + reference_qps):
        return math.nan
    saved = 1.0 / reference_qps - 1.0 / qps
    return build_seconds / saved if saved > 0 else math.inf
