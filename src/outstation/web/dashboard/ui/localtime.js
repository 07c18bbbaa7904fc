// Times in the node's zone, wherever its reader is. Without the zone's name: by how far it is ahead of UTC now.

const { zone } = document.body.dataset;
const offset = Number(document.body.dataset.offset) * 60_000;
const formats = new Map();

export const zoneName = () => zone || (offset ? `UTC${offset < 0 ? "\u2212" : "+"}${new Date(Math.abs(offset)).toISOString().slice(11, 16)}` : "UTC");

// Returns a Date whose own parts, read in this browser's zone, are those of the node's local time: for uPlot.
export function asLocal(at, tzDate) {
  return zone ? tzDate(new Date(at), zone) : tzDate(new Date(at + offset), "UTC");
}

export const hours = (at) => format(at, ["hour", "minute"]);
export const seconds = (at) => format(at, ["hour", "minute", "second"]);
export const day = (at) => format(at, ["day", "month"]);
export const weekday = (at) => format(at, ["weekday", "day", "month"]);
export const month = (at) => format(at, ["month"]);
export const year = (at) => format(at, ["year"]);

// Returns a time as short as it can be without being mistaken. now: of the reader; step: how exact it is, in ms.
export function moment(at, now, step) {
  const time = step < 60_000 ? seconds(at) : hours(at);
  const date = year(at) === year(now) ? weekday(at) : `${weekday(at)} ${year(at)}`;
  if (step >= 86_400_000) return date;
  return date === weekday(now) ? time : `${date}, ${time}`;
}

const PARTS = { hour: "2-digit", minute: "2-digit", second: "2-digit", day: "numeric", month: "short", weekday: "short", year: "numeric" };

function format(at, parts) {
  const key = parts.join();
  if (!formats.has(key)) {
    const wanted = Object.fromEntries(parts.map((part) => [part, PARTS[part]]));
    formats.set(key, new Intl.DateTimeFormat("en-GB", { ...wanted, hourCycle: "h23", timeZone: zone || "UTC" }));
  }
  return formats.get(key).format(zone ? at : at + offset);
}
