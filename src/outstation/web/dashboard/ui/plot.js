// A plot: some sensors over an hour or five years, moved by fingers, mouse and keys, going on by itself.
//
// The page's address says what is shown, #plot=NAME,NAME&last=24h or &start=UTC&end=UTC: it can be kept and sent.
import { address, clamp, LONGEST, parse, SHORTEST } from "./asked.js";
import { aligned, csv, extent, fetchColumns, hear, isSwitch, steps } from "./columns.js";
import { colourOf, library, palette, panel } from "./chart.js";
import { element } from "./elements.js";
import { build, describe, legend, remark, summarise } from "./frame.js";
import { gestures } from "./gestures.js";
import { moment, zoneName } from "./localtime.js";
import { fetchMarks, tellMarks } from "./marks.js";
import { knownSensors } from "./named.js";
import { serverNow, units } from "./now.js";
import { inUnits } from "./units.js";

const MOMENT = 50; // ms that may pass from reckoning an end to looking whether it is now
const WAIT = 180; // ms after a movement before the node is asked
const [SOONEST, LATEST] = [30_000, 600_000]; // ms between two looks at what goes on
const RETRY = 10_000; // ms from a failure to the next question
const [TIMES, HEAD, SWITCH, LOWEST] = [44, 22, 66, 130]; // px of height: the lowest panel of numbers is still read
const [DRAWN_EVERY, FRAME] = [250, 16]; // ms, while readings come in, and while it is moved

const [NO_COLUMNS, NO_MARKS] = [{ every: 1_000, sensors: new Map() }, { alerts: [], spells: [] }];

let open = null; // the plot that is shown

// Shows what the page's address says, or closes the plot.
export async function follow() {
  const asked = parse(location.hash);
  if (!asked) return open?.close();
  if (open) return open.go(asked);
  const dialog = document.querySelector("#plot");
  open = new Plot(dialog, asked);
  await open.start();
}

class Plot {
  #asking = null; // the question under way
  #timers = {};
  #charts = [];
  #columns = NO_COLUMNS;
  #marks = NO_MARKS;
  #cursor = null; // which of the times is read
  #home = null; // what was chosen before it was moved
  #trouble = ""; // why what is drawn is not what is asked for
  #silentSince = null; // when the node fell silent
  #ended = new AbortController();

  constructor(dialog, asked) {
    this.dialog = dialog;
    this.asked = this.#home = asked;
    this.colours = null;
  }

  // --- what is shown, and when

  get range() {
    const { last, start, end } = this.asked;
    const now = serverNow();
    return last === null ? [start, end] : [now - last, now];
  }

  get span() {
    const [start, end] = this.range;
    return end - start;
  }

  async start() {
    const { signal } = this.#ended;
    this.parts = build(this.dialog, {
      span: (millis) => this.go({ ...this.asked, last: millis }),
      move: (share) => this.move(share),
      zoom: (factor) => this.zoom(factor),
      now: () => this.go({ ...this.asked, last: this.span }),
      add: (name) => this.go({ ...this.asked, names: [...this.asked.names, name] }),
      table: () => this.#save(),
      close: () => this.dialog.close(),
    });
    this.dialog.addEventListener("close", () => this.#leave(), { signal });
    document.addEventListener("outstation:reading", ({ detail }) => this.#hear(detail), { signal });
    document.addEventListener("outstation:live", ({ detail }) => this.#live(detail), { signal });
    for (const what of ["output", "alert"]) document.addEventListener(`outstation:${what}`, () => this.#askLater(), { signal });
    document.addEventListener("outstation:refreshed", () => this.#draw(), { signal });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#rebuild(), { signal });
    await this.parts.styled;
    if (signal.aborted) return;
    this.dialog.showModal();
    this.parts.charts.focus();
    const watch = new ResizeObserver(() => this.#resize());
    watch.observe(this.parts.charts);
    const stop = gestures(this.parts.charts, () => this.#area(), {
      move: (share) => this.move(share),
      zoom: (factor, share) => this.zoom(factor, share),
      back: () => this.go({ ...this.#home, names: this.asked.names }),
      read: (step) => this.#read(step),
      edge: (isEnd) => this.#read(isEnd ? Infinity : -Infinity),
    });
    signal.addEventListener("abort", () => { watch.disconnect(); stop(); });
    this.#timers.going = setInterval(() => this.asked.last !== null && this.#draw(), 1_000);
    this.known = await knownSensors().catch(() => new Map());
    this.go(this.asked);
  }

  go(asked) {
    const isOther = String(asked.names) !== String(this.asked.names);
    this.asked = this.#home = asked;
    history.replaceState(null, "", `#${address(asked)}`);
    describe(this.parts, this);
    if (isOther) this.#forget();
    this.#draw();
    this.#askSoon(0);
  }

  move(share) {
    const [start, end] = this.range;
    const by = share * (end - start);
    this.#show(start + by, end + by);
  }

  // share: the place that stands still, from 0 to 1; else now, or the middle where now is not shown.
  zoom(factor, share = this.isLive ? 1 : 0.5) {
    const [start, end] = this.range;
    const span = clamp((end - start) * factor, SHORTEST, LONGEST);
    const at = start + share * (end - start);
    this.#show(at - share * span, at + (1 - share) * span);
  }

  // What would reach beyond now goes on with it.
  #show(start, end) {
    const now = serverNow() - MOMENT;
    this.asked = end >= now ? { ...this.asked, last: end - start } : { ...this.asked, last: null, start, end };
    this.#timers.show ??= setTimeout(() => {
      this.#timers.show = null;
      describe(this.parts, this);
      this.#draw();
    }, FRAME);
    this.#askSoon();
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  #leave() {
    this.#ended.abort();
    this.#asking?.abort();
    Object.values(this.#timers).forEach(clearTimeout);
    this.#forget();
    open = null;
    if (location.hash.startsWith("#plot=")) history.replaceState(null, "", location.pathname + location.search);
  }

  // --- what the node says

  #askSoon(wait = WAIT) {
    clearTimeout(this.#timers.ask);
    this.#timers.ask = setTimeout(() => this.#ask(), wait);
  }

  // Something happened that is to be marked. An output that turns every second holds up no question.
  #askLater() {
    this.#timers.later ??= setTimeout(() => {
      this.#timers.later = null;
      if (this.#asking) this.#askLater();
      else if (this.isLive) this.#ask();
    }, 2_000);
  }

  async #ask() {
    if (!this.known) return;
    clearTimeout(this.#timers.ask);
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    const { signal } = asking;
    const [start, end] = this.range;
    const names = this.asked.names.filter((name) => !this.#isUnknown(name));
    const points = clamp(Math.round(this.parts.charts.clientWidth / 1.5), 100, 1_500);
    history.replaceState(null, "", `#${address(this.asked)}`);
    if (!this.#charts.length) this.parts.said.textContent = "Loading…";
    try {
      const margin = (end - start) * 0.02; // so that lines go on to the edge
      const [columns, marks] = !names.length ? [NO_COLUMNS, NO_MARKS] : await Promise.all([
        fetchColumns(names, Math.max(start - margin, 0), end + (this.asked.last === null ? margin : 1_000), points, signal),
        fetchMarks(names, start, end, signal),
      ]);
      this.uPlot = await library();
      if (signal.aborted || this.#ended.signal.aborted) return;
      [this.#columns, this.#marks, this.#trouble] = [columns, marks, ""];
      if (this.#charts.length && this.#shape() === this.shape) this.#draw();
      else this.#rebuild();
      tellMarks(this.parts.marks, marks, serverNow(), (from, to) => this.#around(from, to));
    } catch (error) {
      if (signal.aborted) return;
      this.known = await knownSensors().catch(() => this.known); // one of them may be gone
      if (signal.aborted) return;
      if (names.some((name) => this.#isUnknown(name))) return this.#ask();
      this.#instead(error);
    }
    if (this.#asking === asking) this.#asking = null;
    const again = this.#trouble ? RETRY : clamp(this.#columns.every, SOONEST, LATEST);
    this.#timers.ask = setTimeout(() => (this.isLive || this.#trouble) && this.#ask(), again);
  }

  // Says why there is no plot; where there is none at all, the node draws a picture.
  #instead(error) {
    this.#trouble = error.message;
    this.#remark();
    if (globalThis.uPlot) return;
    const [start, end] = this.range.map((at) => new Date(at).toISOString());
    const query = new URLSearchParams([...this.asked.names.map((name) => ["sensor", name]), ["start", start], ["end", end]]);
    const image = element("img", { src: `/api/plot.svg?${query}`, alt: `Plot of ${this.title}` });
    this.parts.charts.replaceChildren(image);
  }

  // What is behind the plot says it, too, but cannot be seen.
  #live(isLive) {
    this.#silentSince = isLive ? null : (this.#silentSince ?? serverNow());
    this.#remark();
    if (isLive) this.#askSoon();
  }

  #remark() {
    const [start, end] = this.range;
    const unknown = this.asked.names.filter((name) => this.#isUnknown(name));
    const isEmpty = this.#charts.length > 0 && !this.all.some(({ rows }) => extent(rows, start, end));
    const since = this.#silentSince && moment(this.#silentSince, serverNow(), 1_000);
    remark(this.parts, { since, trouble: this.#trouble, unknown, isEmpty, isDrawn: this.#charts.length > 0 });
  }

  #isUnknown(name) {
    return this.known?.size > 0 && !this.known.has(name);
  }

  #hear(reading) {
    const rows = this.#columns.sensors.get(reading.sensor);
    if (!rows || this.asked.last === null || !hear(rows, reading, this.#columns.every)) return;
    this.#timers.draw ??= setTimeout(() => { this.#timers.draw = null; this.#draw(); }, DRAWN_EVERY);
  }

  #around(start, end) {
    const room = Math.max((end - start) * 1.5, 60_000);
    this.#show(start - room, Math.min(end + room, serverNow() - 1));
  }

  // --- how it looks

  get title() {
    return this.asked.names.map((name) => this.known?.get(name)?.label ?? name).join(", ");
  }

  get isLive() {
    return this.asked.last !== null;
  }

  // Returns what is drawn, each with its place in the order of colours.
  get all() {
    return this.asked.names.map((name, place) => {
      const known = this.known?.get(name) ?? { label: name, unit: "", words: ["on", "off"], isSwitch: false };
      const rows = this.#columns.sensors.get(name) ?? [];
      return { ...known, name, place, rows, units: units(), isSwitch: known.isSwitch || isSwitch(rows) };
    });
  }

  #shape() {
    return String(this.all.map((each) => each.isSwitch));
  }

  #panels() {
    const panels = new Map();
    for (const each of this.all) {
      const key = each.isSwitch ? `switch ${each.name}` : `unit ${each.unit}`;
      panels.set(key, [...(panels.get(key) ?? []), each]);
    }
    return [...panels.values()];
  }

  #data(all) {
    const now = serverNow();
    return all[0].isSwitch ? steps(all[0], this.#columns.every, now) : aligned(all, this.#columns.every, now);
  }

  #rebuild() {
    if (!this.uPlot) return;
    this.#forget();
    this.colours = palette();
    this.shape = this.#shape();
    const panels = this.#panels();
    const sizes = heights(panels, this.parts.charts);
    const view = { range: () => this.range, marks: () => this.#marks, moved: (chart) => this.#moved(chart) };
    this.#charts = panels.map((all, index) => {
      const [isLast, size] = [index === panels.length - 1, sizes[index]];
      const unit = described(all[0]);
      const head = element("p", { className: "axis" }, unit || all.map((each) => each.label).join(", "));
      this.parts.charts.append(head);
      return panel(this.uPlot, this.parts.charts, { all, data: this.#data(all), unit, size, isLast, colours: this.colours, view });
    });
    this.#tell();
  }

  #draw() {
    if (!this.#charts.length) return;
    const panels = this.#panels();
    if (panels.length !== this.#charts.length) return this.#rebuild();
    this.#charts.forEach((chart, index) => chart.setData(this.#data(panels[index])));
    this.#tell();
  }

  #forget() {
    this.#charts.forEach((chart) => chart.destroy());
    this.#charts = [];
    this.#cursor = null;
    this.parts?.charts.replaceChildren();
  }

  #resize() {
    const sizes = heights(this.#panels(), this.parts.charts);
    this.#charts.forEach((chart, index) => {
      if (chart.width !== sizes[index].width || chart.height !== sizes[index].height) chart.setSize(sizes[index]);
    });
  }

  #area() {
    return (this.#charts[0]?.over ?? this.parts.charts).getBoundingClientRect();
  }

  // --- what is read

  #moved(chart) {
    const { left } = chart.cursor;
    this.#cursor = left < 0 ? null : chart.posToVal(left, "x");
    clearTimeout(this.#timers.tell);
    this.#timers.tell = setTimeout(() => this.#tell(), 0);
  }

  #read(step) {
    const chart = this.#charts[0];
    if (!chart) return;
    const [from, to] = this.range;
    const times = chart.data[0].filter((at) => at >= from && at <= to);
    if (!times.length) return;
    const here = this.#cursor === null ? (step > 0 ? -1 : times.length) : times.findIndex((at) => at >= this.#cursor);
    const at = times[clamp(here + step, 0, times.length - 1)];
    chart.setCursor({ left: chart.valToPos(at, "x"), top: chart.over.clientHeight / 2 });
    this.#cursor = at;
    this.parts.read.textContent = `${this.#when()}: ${this.#tell().join("; ")}`;
  }

  #when() {
    return moment(this.#cursor, serverNow(), this.#columns.every);
  }

  // Shows the values at the cursor, or else the newest, and what was lowest and highest. Returns the same in words.
  #tell() {
    const [start, end] = this.range;
    this.parts.at.textContent = this.#cursor === null ? `${moment(start, serverNow(), this.span / 100)} to ${this.isLive ? "now" : moment(end, serverNow(), this.span / 100)} · ${zoneName()}` : this.#when();
    const extentOf = (rows) => extent(rows, start, end);
    if (this.#cursor === null) summarise(this.parts, this.all, extentOf, this.parts.at.textContent);
    this.#remark();
    return legend(this.parts, this.all, {
      at: this.#cursor,
      extentOf,
      colourOf: (place) => colourOf(place, this.colours),
      remove: (name) => this.go({ ...this.asked, names: this.asked.names.filter((each) => each !== name) }),
    });
  }

  // Saves what is shown, as it is shown.
  #save() {
    const [start, end] = this.range;
    const table = new Blob([csv(this.all, this.#columns.every, start, end)], { type: "text/csv" });
    const link = element("a", { href: URL.createObjectURL(table), download: `${this.asked.names.join("+").replaceAll("/", "-")}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}

// Returns the sizes of panels that share the room: a switch needs little, and times stand below the last.
function heights(panels, charts) {
  const switches = panels.filter(([each]) => each.isSwitch).length;
  const others = panels.length - switches;
  const fixed = TIMES + panels.length * HEAD + switches * SWITCH;
  charts.style.minHeight = `${Math.max(320, fixed + others * LOWEST)}px`;
  const each = others && Math.floor((charts.clientHeight - fixed) / others);
  return panels.map((all, index) => ({
    width: charts.clientWidth,
    height: (all[0].isSwitch ? SWITCH : each) + (index === panels.length - 1 ? TIMES : 0),
  }));
}

function described({ unit, units, isSwitch }) {
  return isSwitch ? "" : inUnits(0, unit, units)[1];
}
