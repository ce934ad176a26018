// The texts of a page whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3), with their ratio.
const parse = (text) => (text.match(/[\d.]+/g) || []).map(Number);
const linear = (share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4);
const luminance = (colour) => {
  const [red, green, blue] = colour.map((value) => linear(value / 255));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const behind = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const colour = parse(getComputedStyle(one).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const poor = [];
for (const element of document.querySelectorAll("body *")) {
  if (!element.offsetParent || element.closest(".plot, .visually-hidden, .skip")) continue;
  if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
  let ink = parse(getComputedStyle(element).color);
  const ground = behind(element);
  let share = ink.length === 4 ? ink[3] : 1;
  for (let one = element; one; one = one.parentElement) share *= Number(getComputedStyle(one).opacity);
  ink = ink.slice(0, 3).map((value, place) => value * share + ground[place] * (1 - share));
  const [light, dark] = [luminance(ink), luminance(ground)].sort((first, second) => second - first);
  const ratio = (light + 0.05) / (dark + 0.05);
  if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${element.tagName} ${element.textContent.trim().slice(0, 40)}`);
}
return poor;
