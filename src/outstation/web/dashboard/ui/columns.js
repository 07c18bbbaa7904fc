// What is drawn of a sensor: its columns as the API gives them, and what has been heard since.
//
// The law of this file: nothing is drawn where nothing was heard. A sensor that is silent between two readings that still
// speak is not silent; one that said only bad ones is.
import { inUnits } from "./units.js";

const LENGTHS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const MOST_ROWS = 20_000; // of all sensors, docs/reference/api.md
const PATIENCE = 30_000; // ms: years of some sensors take a small node seconds

// Returns { every, sensors: Map of name to rows }. Raises an Error with words for people.
export async function fetchColumns(names, start, end, points, signal) {
  const query = new URLSearchParams(names.map((name) => ["sensor", name]));
  query.set("start", new Date(start).toISOString());
  query.set("end", new Date(end).toISOString());
  query.set("points", Math.max(2, Math.min(points, Math.floor(MOST_ROWS / names.length))));
  const answer = await ask(`/api/readings?every=auto&${query}`, signal);
  const sensors = new Map(names.map((name) => [name, []]));
  for (const row of answer.readings) sensors.get(row.sensor)?.push(asColumn(row));
  return { every: length(answer.every), sensors };
}

// Fetches a document. Raises an Error with the words of the node, or about it.
export async function ask(address, signal) {
  const patience = AbortSignal.timeout(PATIENCE);
  const both = signal && AbortSignal.any ? AbortSignal.any([signal, patience]) : (signal ?? patience);
  let [answer, said] = [null, {}];
  try {
    answer = await fetch(address, { signal: both, headers: { Accept: "application/json" } });
    said = await answer.json();
  } catch {
    if (!answer || answer.ok) throw new Error("The node does not answer.");
  }
  if (answer.ok) return said;
  throw new Error(said.error ?? `The node answered with ${answer.status}.`);
}

function asColumn(row) {
  const isSwitch = row.on !== undefined;
  return {
    at: Date.parse(row.timestamp),
    count: row.count,
    mean: isSwitch ? row.on : row.mean,
    low: row.min === null ? null : Number(row.min),
    high: row.max === null ? null : Number(row.max),
    last: row.last === null ? (isSwitch ? row.on : null) : Number(row.last),
    isSwitch,
    isHeard: row.coverage > 0 && !row.bad,
  };
}

// Puts a reading of just now into the rows of its sensor. Returns whether there is anything new to see.
export function hear(rows, { timestamp, value, quality }, every) {
  const at = Date.parse(timestamp);
  const last = rows.at(-1);
  if (quality !== "ok" || value === null || typeof value === "string" || (last && at < last.at)) return false;
  const number = Number(value);
  const begin = Math.floor(at / every) * every;
  if (last?.mean != null && at < last.at + every) join(last, number);
  else rows.push({ at: begin, count: 1, mean: number, low: number, high: number, last: number, isSwitch: typeof value === "boolean", isHeard: true });
  return true;
}

function join(column, number) {
  const count = Math.max(column.count, 1);
  column.mean = column.isSwitch ? number : (column.mean * count + number) / (count + 1);
  column.low = Math.min(column.low ?? number, number);
  column.high = Math.max(column.high ?? number, number);
  column.last = number;
  column.count = count + 1;
}

export const isSwitch = (rows) => rows.some((row) => row.isSwitch);

// Returns [times, [low, high, mean] of each], as uPlot wants them: null is a gap, undefined says nothing.
export function aligned(all, every, now) {
  const times = [...new Set(all.flatMap(({ rows }) => rows.map((row) => row.at)))].sort((one, other) => one - other);
  const places = new Map(times.map((at, index) => [at, index]));
  const series = all.flatMap(({ rows, unit, units }) => {
    const [low, high, mean] = [0, 1, 2].map(() => new Array(times.length).fill(undefined));
    for (const row of rows) {
      const place = places.get(row.at);
      if (row.mean === null && row.isHeard) continue;
      low[place] = shown(row.low, unit, units);
      high[place] = shown(row.high, unit, units);
      mean[place] = shown(row.mean, unit, units);
    }
    return [low, high, mean];
  });
  const middles = times.map((at) => Math.max(at, Math.min(at + every / 2, now)));
  return [middles, ...series];
}

// A switch is drawn from the beginning of each column, and goes on until now where it was heard.
export function steps({ rows }, every, now) {
  const times = rows.map((row) => row.at);
  const values = rows.map((row) => (row.mean === null && row.isHeard ? undefined : row.mean));
  const last = rows.at(-1);
  if (last && last.mean !== null) {
    times.push(Math.max(Math.min(last.at + Math.max(every, last.isHeard ? now - last.at : 0), now), last.at + 1));
    values.push(last.mean);
  }
  return [times, values];
}

function shown(value, unit, units) {
  return value === null ? null : inUnits(value, unit, units)[0];
}

// Returns the lowest, the highest and the mean of the rows between two times; null without any.
export function extent(rows, start, end) {
  const found = rows.filter((row) => row.mean !== null && row.at < end && row.at >= start);
  if (!found.length) return null;
  const count = found.reduce((sum, row) => sum + Math.max(row.count, 1), 0);
  return {
    low: Math.min(...found.map((row) => row.low ?? row.mean)),
    high: Math.max(...found.map((row) => row.high ?? row.mean)),
    mean: found.reduce((sum, row) => sum + row.mean * Math.max(row.count, 1), 0) / count,
  };
}

// Returns the columns as CSV (RFC 4180): a row a time in UTC, of each sensor its mean, lowest and highest.
export function csv(all, every, start, end) {
  const heads = all.flatMap(({ name, unit, units }) => {
    const said = inUnits(0, unit, units)[1];
    return [`${name}${said ? ` (${said})` : ""}`, `${name} min`, `${name} max`];
  });
  const times = [...new Set(all.flatMap(({ rows }) => rows.map((row) => row.at)))].sort((one, other) => one - other);
  const tables = all.map(({ rows, unit, units }) => new Map(rows.map((row) => [row.at, cells(row, unit, units)])));
  const lines = times
    .filter((at) => at + every > start && at < end)
    .map((at) => [new Date(at).toISOString(), ...tables.flatMap((table) => table.get(at) ?? ["", "", ""])]);
  return [["timestamp", ...heads], ...lines].map((cellsOfLine) => `${cellsOfLine.join(",")}\r\n`).join("");
}

function cells(row, unit, units) {
  return [row.mean, row.low, row.high].map((value) => (value === null ? "" : String(Number(shown(value, unit, units).toPrecision(7)))));
}

// Returns a duration such as 24h or 5y in milliseconds; NaN of anything else.
export function length(text) {
  const [, count, unit] = /^(\d+)(ms|s|m|h|d|w|y)$/.exec(text) ?? [];
  return unit === "y" ? Number(count) * 365 * LENGTHS.d : Number(count) * LENGTHS[unit];
}

// Returns a duration in the largest unit that divides it.
export function written(millis) {
  if (millis % (365 * LENGTHS.d) === 0) return `${millis / 365 / LENGTHS.d}y`;
  const unit = ["d", "h", "m"].find((each) => millis % LENGTHS[each] === 0 && millis >= 2 * LENGTHS[each]) ?? "s";
  return `${Math.max(1, Math.round(millis / LENGTHS[unit]))}${unit}`;
}
