// What stands around a plot: its head, the spans, the legend, and what is marked, in words.
import { MOST_SENSORS } from "./asked.js";
import { element, setText } from "./elements.js";
import { valueAndUnit } from "./units.js";

const [HOUR, DAY] = [3_600_000, 86_400_000];
const SPANS = [["1 h", HOUR], ["6 h", 6 * HOUR], ["24 h", DAY], ["7 d", 7 * DAY], ["30 d", 30 * DAY], ["1 y", 365 * DAY], ["5 y", 1_825 * DAY]];
const HELP = "Arrow keys read the values. Shift and an arrow key move in time, plus and minus zoom, 0 goes back.";

// Builds the dialog; does: what its buttons do. Returns its parts; styled: a promise, when its style is there.
export function build(dialog, does) {
  const button = (words, label, onclick, className = "") => {
    const made = element("button", { type: "button", onclick, className }, words);
    if (label !== words) made.setAttribute("aria-label", label);
    return made;
  };
  const title = element("h2", { id: "plot-title" });
  const spans = element("div", { className: "spans", role: "group", ariaLabel: "Time shown" });
  spans.append(...SPANS.map(([words, millis]) => Object.assign(button(words, words, () => does.span(millis)), { value: millis })));
  const now = button("Now", "Now: go on with it", does.now, "now-again");
  const moves = element("div", { className: "moves" },
    button("\u2039", "Earlier", () => does.move(-0.5)), button("\u203a", "Later", () => does.move(0.5)),
    button("\u2212", "Zoom out", () => does.zoom(2)), button("+", "Zoom in", () => does.zoom(0.5)), now);
  const at = element("p", { className: "at-cursor" });
  const legend_ = element("ul", { className: "legend" });
  const add = element("select", { ariaLabel: "Add a sensor to compare", onchange: () => { does.add(add.value); } });
  const charts = element("div", { className: "charts", tabIndex: 0, role: "application" });
  charts.setAttribute("aria-describedby", "plot-summary plot-help");
  const summary = element("p", { className: "unseen", id: "plot-summary" });
  const read = element("p", { className: "unseen", role: "status" });
  const said = element("p", { className: "said", role: "status" });
  const marks = element("ul", { className: "told", ariaLabel: "Alerts and rules in this time" });
  const readings = element("a", { href: "/api/export", download: "" }, "All readings (CSV)");
  const foot = element("p", { className: "take" }, button("Save as CSV", "Save as CSV what is shown", does.table), readings);
  dialog.replaceChildren(
    element("div", { className: "head" }, title, button("\u00d7", "Close the plot", does.close, "close")),
    element("div", { className: "tools" }, spans, at, moves), element("div", { className: "shown" }, legend_, add),
    charts, summary, element("p", { className: "unseen", id: "plot-help" }, HELP), read, said, marks, foot);
  dialog.setAttribute("aria-labelledby", "plot-title");
  const styled = Promise.all(["uPlot.min.css", "plot.css"].map(style));
  return { dialog, title, spans, now, at, legend: legend_, add, charts, summary, read, said, marks, readings, styled };
}

// Loads a style, once. Without it the plot is still there.
const styles = new Map();
function style(name) {
  if (!styles.has(name)) {
    styles.set(name, new Promise((resolve) => {
      const link = element("link", { rel: "stylesheet", href: new URL(name, import.meta.url), onload: resolve, onerror: resolve });
      document.head.append(link);
    }));
  }
  return styles.get(name);
}

// Says what is shown: the title, which span, what could be added, where all of its readings are.
export function describe(parts, plot) {
  const { title, spans, now, charts, readings } = parts;
  const { names } = plot.asked;
  title.textContent = plot.title;
  charts.setAttribute("aria-label", `Plot of ${plot.title}`);
  for (const button of spans.children) button.setAttribute("aria-pressed", Number(button.value) === Math.round(plot.asked.last ?? 0));
  now.hidden = plot.isLive;
  const [start, end] = plot.range.map((at) => new Date(at).toISOString());
  readings.href = `/api/export?${new URLSearchParams([...names.map((name) => ["sensor", name]), ["start", start], ["end", end]])}`;
  if (plot.known) choices(parts, plot.known, names);
}

// Offers the other sensors; not anew while it is as it was: it may be open, and a hub has hundreds.
function choices(parts, known, names) {
  if (parts.offered?.known === known && parts.offered.without === String(names)) return;
  parts.offered = { known, without: String(names) };
  const { add } = parts;
  const groups = new Map();
  for (const entry of known) groups.set(entry[1].group, [...(groups.get(entry[1].group) ?? []), entry]);
  add.replaceChildren(element("option", { value: "", selected: true, disabled: true }, "+ Compare with…"));
  for (const [label, found] of groups) {
    const group = element("optgroup", { label });
    for (const [name, each] of found) if (!names.includes(name)) group.append(element("option", { value: name }, each.label));
    if (group.children.length) add.append(group);
  }
  add.hidden = names.length >= MOST_SENSORS || add.children.length < 2;
}

// Shows each sensor with its value, the lowest, the highest and the mean. Returns what it says, a sentence each.
export function legend({ legend: list }, all, { at, extentOf, colourOf, remove }) {
  if (list.children.length !== all.length || [...list.children].some((item, index) => item.dataset.name !== all[index].name)) {
    list.replaceChildren(...all.map((each) => item(each, all.length > 1, colourOf, remove)));
  }
  return all.map((each, index) => {
    const column = at === null ? each.rows.findLast((row) => row.mean !== null) : columnAt(each.rows, at);
    const value = column ? words(at === null ? (column.last ?? column.mean) : column.mean, each) : "nothing heard";
    const range = each.isSwitch ? "" : rangeOf(at === null ? extentOf(each.rows) : column, each, at === null);
    const [, label, said, band] = list.children[index].children;
    label.textContent = each.label;
    setText(said, value);
    setText(band, range);
    return `${each.label} ${value}${range && `, ${range}`}`;
  });
}

function rangeOf(found, each, withMean) {
  if (!found || found.low === null) return "";
  const mean = withMean ? `, mean ${words(found.mean, each)}` : "";
  return `${words(found.low, each)} to ${words(found.high, each)}${mean}`;
}

// Puts what the lines show into sentences, for who does not see them.
export function summarise({ summary }, all, extentOf, when) {
  const sentences = all.map((each) => {
    const found = extentOf(each.rows);
    if (!found) return `${each.label}: nothing heard.`;
    const last = each.rows.findLast((row) => row.mean !== null);
    const now = `last ${words(last.last ?? last.mean, each)}`;
    if (each.isSwitch) return `${each.label}: ${now}, in the mean ${words(found.mean, each)}.`;
    const [low, high, mean] = [found.low, found.high, found.mean].map((value) => words(value, each));
    return `${each.label}: ${now}, lowest ${low}, highest ${high}, mean ${mean}.`;
  });
  setText(summary, `${when}. ${sentences.join(" ")}`);
}

// Says what the picture cannot: that it is not the newest, or why it is empty.
export function remark({ said }, { since, trouble, unknown, isEmpty, isDrawn }) {
  const names = unknown.map((name) => `\u201c${name}\u201d`).join(", ");
  const sentences = [
    since && `Not live since ${since}; trying again.`,
    trouble && !since && `${trouble} Trying again.`,
    trouble && isDrawn && "What is drawn may be less than you ask for.",
    names && `The node has no sensor ${names}.`,
    isEmpty && !trouble && "Nothing was heard in this time: zoom out, or go back in time.",
  ];
  setText(said, sentences.filter(Boolean).join(" "));
}

function item(each, mayGo, colourOf, remove) {
  const made = element("li", {});
  made.dataset.name = each.name;
  made.append(swatch(each.place, colourOf(each.place)), element("span", {}, each.label), element("b", {}), element("small", {}));
  if (mayGo) {
    const button = element("button", { type: "button", onclick: () => remove(each.name) }, "\u00d7");
    button.setAttribute("aria-label", `Remove ${each.label}`);
    made.append(button);
  }
  return made;
}

// The number that its line carries, in its colour.
function swatch(place, colour) {
  const make = (name, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const drawn = make("svg", { width: 22, height: 22, "aria-hidden": "true" }, make("circle", { cx: 11, cy: 11, r: 10, fill: colour }));
  drawn.append(make("text", { x: 11, y: 15, "text-anchor": "middle" }, String(place + 1)));
  return drawn;
}

// Returns the column at a time: of a sensor that speaks seldom, the one before it; null in a gap.
function columnAt(rows, at) {
  const found = rows.findLast((row) => row.at <= at && (row.mean !== null || !row.isHeard));
  return found?.mean == null ? null : found;
}

function words(value, { unit, units, words: [on, off], isSwitch }) {
  if (value === null) return "";
  if (isSwitch) return value === 0 || value === 1 ? (value ? on : off) : `${on} ${Math.round(value * 100)} %`;
  return valueAndUnit(value, unit, Number.isInteger(value), units).filter(Boolean).join(" ").replace("-", "\u2212");
}
