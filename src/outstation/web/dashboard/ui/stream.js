// The event stream (WHATWG HTML, section 9.2), read by fetch: unlike EventSource, it shows the beat in which a silent
// server says that it is there, and the status of a refusal.

const SILENCE = 40_000; // ms: a beat comes every 15 s
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;
const SOON = 100;

// Follows a stream for good. happened(kind, data): of each event; changed(isLive): before the first and after the last.
// Returns what ends the connection and begins another.
export function follow(address, { happened, changed }) {
  let wait = FIRST_WAIT;
  let timer = 0;
  let reading = null;

  // Whether the browser thinks that it is online does not matter: a node without a network is on its own screen.
  async function read() {
    if (reading || document.hidden) return;
    clearTimeout(timer);
    const stop = (reading = new AbortController());
    try {
      await events(address, stop, () => { wait = FIRST_WAIT; changed(true); }, happened);
    } catch {} // a network that failed: the same as a stream that ended
    reading = null;
    changed(false);
    timer = setTimeout(read, wait * (0.75 + Math.random() / 2));
    wait = Math.min(2 * wait, LONGEST_WAIT);
  }

  const stop = () => reading?.abort();
  addEventListener("online", read);
  addEventListener("offline", stop);
  addEventListener("pagehide", stop);
  addEventListener("pageshow", read);
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : read()));
  read();
  return () => { wait = SOON; stop(); };
}

async function events(address, stop, opened, happened) {
  let silence = setTimeout(() => stop.abort(), SILENCE);
  try {
    const answer = await fetch(address, { signal: stop.signal, cache: "no-store" });
    if (!answer.ok) return;
    opened();
    const [chunks, decoder] = [answer.body.getReader(), new TextDecoder()];
    let rest = "";
    for (;;) {
      const { done, value } = await chunks.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(() => stop.abort(), SILENCE);
      const whole = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = whole.pop();
      for (const event of whole) tell(event, happened);
    }
  } finally {
    clearTimeout(silence);
  }
}

function tell(event, happened) {
  const fields = Object.fromEntries(event.split("\n").map((line) => line.split(/: ?(.*)/, 2)));
  if (fields.data !== undefined) happened(fields.event ?? "message", fields.data);
}
