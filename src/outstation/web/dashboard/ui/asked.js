// What is asked for, as the page's address has it: #plot=NAME,NAME&last=24h, or &start=UTC&end=UTC.
import { length, written } from "./columns.js";

export const [SHORTEST, LONGEST] = [10_000, 5 * 365 * 86_400_000]; // ms of time shown
export const MOST_SENSORS = 6; // colours that can be told apart

export const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

// Returns { names, last } of what goes on, or { names, last: null, start, end }; null where no plot is asked for.
export function parse(hash) {
  const query = new URLSearchParams(hash.slice(1));
  const names = [...new Set((query.get("plot") ?? "").split(",").filter(Boolean))].slice(0, MOST_SENSORS);
  if (!names.length) return null;
  const [start, end] = ["start", "end"].map((key) => Date.parse(query.get(key) ?? ""));
  if (start < end) return { names, start, end, last: null };
  return { names, last: clamp(length(query.get("last") ?? "24h") || 86_400_000, SHORTEST, LONGEST) };
}

export function address({ names, last, start, end }) {
  const what = `plot=${names.join(",")}`;
  if (last !== null) return `${what}&last=${written(Math.round(last / 1_000) * 1_000)}`;
  return `${what}&start=${new Date(start).toISOString()}&end=${new Date(end).toISOString()}`;
}
