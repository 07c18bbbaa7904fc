// One panel of a plot, drawn by uPlot: the sensors of one unit with their band, or one switch.
import { asLocal, day, hours, month, seconds, year } from "./localtime.js";
import { number } from "./units.js";

const AXIS = 58; // px: all panels have theirs under each other
const [HOUR, DAY, MONTH, YEAR] = [3_600_000, 86_400_000, 2_419_200_000, 31_536_000_000];

// Loads uPlot, once. Raises an Error where the installation has none.
let loading = null;
export function library() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("uPlot.iife.min.js", import.meta.url);
    script.onload = () => resolve(globalThis.uPlot);
    script.onerror = () => { loading = null; reject(new Error("This installation came without uPlot.")); };
    document.head.append(script);
  });
  return loading;
}

// Returns the colours as the page has them now: light or dark.
export function palette() {
  const style = getComputedStyle(document.body);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    series: [1, 2, 3, 4, 5, 6].map((count) => of(`series-${count}`)),
    card: of("card"), soft: of("soft"), line: of("line"), bad: of("bad"), warn: of("warn-line"), accent: of("accent"), font: style.fontFamily,
  };
}

export const colourOf = (place, colours) => colours.series[place % colours.series.length];

// Returns a uPlot of some sensors. view: { range(), marks(), moved(index, at) }.
export function panel(uPlot, element, { all, data, unit, size, isLast, colours, view }) {
  const onOff = all[0].isSwitch;
  const options = {
    ...size,
    ms: 1,
    tzDate: (at) => asLocal(at, uPlot.tzDate),
    legend: { show: false },
    padding: [10, 16, isLast ? 0 : 8, 0],
    cursor: { y: false, drag: { x: false, y: false, setScale: false }, sync: { key: "plot" }, points: { show: !onOff, size: 7 } },
    scales: { x: { auto: false, range: () => view.range() }, y: { range: onOff ? () => [-0.06, 1.12] : padded } },
    axes: [timeAxis(isLast, colours), onOff ? wordAxis(all[0].words, colours) : valueAxis(unit, colours)],
    series: [{}, ...(onOff ? [stepped(uPlot, all[0], colours)] : all.flatMap((each) => lines(each, colours)))],
    bands: onOff ? [] : all.map((each, index) => ({ series: [3 * index + 2, 3 * index + 1], fill: `${colourOf(each.place, colours)}2b` })),
    hooks: {
      drawClear: [(chart) => drawMarks(chart, view.marks(), colours)],
      draw: [(chart) => all.forEach((each, index) => drawNumber(chart, onOff ? 1 : 3 * index + 3, each.place, colours))],
      setCursor: [(chart) => view.moved(chart)],
    },
  };
  return new uPlot(options, data, element);
}

function lines(each, colours) {
  const edge = { scale: "y", stroke: "transparent", width: 0, points: { show: false } };
  const colour = colourOf(each.place, colours);
  const mean = { scale: "y", stroke: colour, width: 2, points: { size: 6, width: 0, fill: colour, filter: alone } };
  return [{ ...edge }, { ...edge }, mean];
}

function stepped(uPlot, { place }, colours) {
  const colour = colourOf(place, colours);
  return { scale: "y", stroke: colour, width: 2, fill: `${colour}33`, fillTo: 0, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } };
}

// A value between two gaps has no line: a dot is drawn.
function alone(chart, place, isShown) {
  if (isShown) return null;
  const values = chart.data[place];
  const said = values.flatMap((value, index) => (value === undefined ? [] : [index]));
  return said.filter((index, at) => values[index] !== null && (values[said[at - 1]] ?? null) === null && (values[said[at + 1]] ?? null) === null);
}

// A little room above and below; of a value that does not move so much that noise is not drawn as weather.
function padded(chart, low, high) {
  if (low === null || high === null) return [0, 1];
  const least = Math.max(Math.abs(high) * 0.002, 0.2);
  const room = Math.max((high - low) * 0.08, (least - (high - low)) / 2);
  return [low - room, high + room];
}

const lined = ({ soft, line, font }) => ({ stroke: soft, font: `12px ${font}`, grid: { stroke: line, width: 1 }, ticks: { show: false } });

function timeAxis(isLast, colours) {
  const words = isLast ? { values: times, size: 44, space: 64 } : { values: (chart, splits) => splits.map(() => ""), size: 0, space: 64 };
  return { ...lined(colours), gap: 6, ...words };
}

function valueAxis(unit, colours) {
  const values = (chart, splits, axis, space, step) => {
    const decimals = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
    return splits.map((value) => (Math.abs(value) >= 1e6 ? number(value, unit, true) : value.toFixed(decimals)).replace("-", "\u2212"));
  };
  return { ...lined(colours), size: AXIS, gap: 6, space: 34, values };
}

function wordAxis([on, off], colours) {
  const values = (chart, splits) => splits.map((value) => fitting(value ? on : off));
  return { ...lined(colours), size: AXIS, gap: 6, splits: () => [0, 1], values };
}

const fitting = (word) => (word.length > 8 ? `${word.slice(0, 7)}…` : word);

// Times as short as the distance between two lines allows; what is above them said where it changes.
function times(chart, splits, axis, space, step) {
  const [short, long] = step < 60_000 ? [seconds, day] : step < DAY ? [hours, day] : step < MONTH ? [day, year] : step < YEAR ? [month, year] : [year, () => ""];
  let before = null;
  return splits.map((at) => {
    const above = long(at);
    const isNew = above !== before;
    before = above;
    return isNew && above ? `${short(at)}\n${above}` : short(at);
  });
}

// Alerts stand behind the lines from top to bottom; spells of rules are bars at the lower edge.
function drawMarks(chart, { alerts, spells }, colours) {
  const { ctx, bbox } = chart;
  const ratio = devicePixelRatio;
  const [from, to] = view(chart);
  const across = (mark) => [Math.max(mark.start, from), Math.min(mark.end ?? to, to)].map((at) => chart.valToPos(at, "x", true));
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const mark of alerts) {
    const [left, right] = across(mark);
    const colour = mark.severity === "critical" ? colours.bad : colours.warn;
    ctx.fillStyle = `${colour}24`;
    ctx.fillRect(left, bbox.top, Math.max(right - left, ratio), bbox.height);
    ctx.fillStyle = colour;
    if (mark.start >= from) flag(ctx, left, bbox.top, ratio);
  }
  const rules = [...new Set(spells.map((spell) => spell.rule))];
  ctx.fillStyle = colours.accent;
  for (const mark of spells) {
    const [left, right] = across(mark);
    const row = Math.min(rules.indexOf(mark.rule), 3);
    ctx.fillRect(left, bbox.top + bbox.height - (row + 1) * 6 * ratio, Math.max(right - left, ratio), 4 * ratio);
  }
  ctx.restore();
}

// Each line carries its number at its end, as in the legend: colours are not for everybody.
function drawNumber({ ctx, bbox, data, valToPos, scales }, series, place, colours) {
  const index = data[series].findLastIndex((value, at) => value != null && data[0][at] <= scales.x.max && data[0][at] >= scales.x.min);
  if (index < 0) return;
  const size = 8 * devicePixelRatio;
  const left = Math.min(valToPos(data[0][index], "x", true), bbox.left + bbox.width - size / 2);
  const top = Math.max(bbox.top + size, Math.min(valToPos(data[series][index], "y", true), bbox.top + bbox.height - size));
  ctx.save();
  ctx.fillStyle = colourOf(place, colours);
  ctx.beginPath();
  ctx.arc(left, top, size, 0, 2 * Math.PI);
  ctx.fill();
  Object.assign(ctx, { fillStyle: colours.card, font: `bold ${11 * devicePixelRatio}px ${colours.font}`, textAlign: "center", textBaseline: "middle" });
  ctx.fillText(String(place + 1), left, top + devicePixelRatio / 2);
  ctx.restore();
}

function flag(ctx, left, top, ratio) {
  ctx.fillRect(left, top, 1.5 * ratio, 1e5);
  ctx.beginPath();
  ctx.moveTo(left, top);
  ctx.lineTo(left + 10 * ratio, top + 5 * ratio);
  ctx.lineTo(left, top + 10 * ratio);
  ctx.fill();
}

const view = (chart) => [chart.scales.x.min, chart.scales.x.max];
