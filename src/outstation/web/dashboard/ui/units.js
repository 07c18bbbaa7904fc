// How people read what the node knows: the same words and the same rounding as wording.py, against which it is tested.

const ALWAYS_ONE_DECIMAL = ["°C", "°F", "%"];
const INCH_OF_MERCURY = 33.86389; // hPa, NIST SP 811, appendix B.8
const TOO_LONG = 1e9;

// Returns a temperature or a pressure in the units that its reader chose; anything else as it is.
export function inUnits(value, unit, { temperature, pressure }) {
  if (unit === "°C" && temperature === "f") return [(value * 9) / 5 + 32, "°F"];
  if (unit === "°F" && temperature === "c") return [((value - 32) * 5) / 9, "°C"];
  if ((unit === "hPa" || unit === "mbar") && pressure === "inhg") return [value / INCH_OF_MERCURY, "inHg"];
  if (unit === "inHg" && pressure === "hpa") return [value * INCH_OF_MERCURY, "hPa"];
  return [value, unit];
}

// Returns a number in words. isWhole: JSON says 72 of a whole one and 72.0 of another; JavaScript cannot tell.
export function number(value, unit, isWhole) {
  const size = Math.abs(value);
  if (size >= TOO_LONG) return value.toExponential(3).replace(/e([+-])(\d)$/, "e$10$2");
  if (isWhole && !ALWAYS_ONE_DECIMAL.includes(unit)) return String(value);
  if (size > 0 && size < 0.05 && !ALWAYS_ONE_DECIMAL.includes(unit)) return tiny(value);
  const text = fixed(value, unit === "inHg" ? 2 : 1);
  return Number(text) === 0 ? text.replace("-", "") : text;
}

// A number that lies in the middle goes to the even digit, as everywhere in the node; toFixed() takes the larger.
function fixed(value, decimals) {
  const isMiddle = Number.isInteger(value * 2 ** (decimals + 1)) && !Number.isInteger(value * 2 ** decimals);
  if (!isMiddle) return value.toFixed(decimals);
  const below = Math.floor(value * 10 ** decimals);
  return ((below + Math.abs(below % 2)) / 10 ** decimals).toFixed(decimals);
}

// Two digits that count, as Python's "%.2g".
function tiny(value) {
  const [digits, exponent] = value.toExponential(1).split("e");
  if (exponent < -4) return `${digits.replace(".0", "")}e-${exponent.slice(1).padStart(2, "0")}`;
  return String(Number(value.toPrecision(2)));
}

// Returns [text, unit] of a sensor's value. words: what true and false are called.
export function valueAndUnit(value, unit, isWhole, units, words = ["on", "off"]) {
  if (value === null) return ["\u2013", ""];
  if (typeof value === "boolean") return [words[value ? 0 : 1], ""];
  if (typeof value === "string") return [value, ""];
  const [converted, shown] = inUnits(value, unit, units);
  return [number(converted, shown, isWhole && shown === unit), shown];
}

// Returns how long ago something was, in the largest unit that says enough.
export function age(millis) {
  const seconds = Math.floor(millis / 1000);
  if (seconds < 1) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

// Returns a time in the node's zone: the date only where it is another day. offset: minutes ahead of UTC.
export function clockTime(at, now, offset) {
  const [when, today] = [local(at, offset), local(now, offset)];
  return when.slice(0, 10) === today.slice(0, 10) ? when.slice(11) : when.replace("T", " ");
}

function local(at, offset) {
  return new Date(at + offset * 60_000).toISOString().slice(0, 19);
}
