// Holds the one connection of the board, and wakes the board's thread with each answer: "=" and what came, "!" and why not.
import net from "node:net";
import { workerData } from "node:worker_threads";

const { signal, port } = workerData;
let socket, received, ended;
let heard = () => {};

function answer(text) {
  port.postMessage(text);
  Atomics.store(signal, 0, 1);
  Atomics.notify(signal, 0);
}

// Answers as soon as `ready` says something; after so many milliseconds, that it took too long.
function when(patience, ready) {
  const done = (text) => {
    clearTimeout(late);
    heard = () => {};
    answer(text);
  };
  const late = setTimeout(() => done("!ETIMEDOUT"), patience);
  heard = () => {
    const text = ready();
    if (text !== undefined) done(text);
  };
  heard();
}

const asked = {
  connect({ word, number, patience }) {
    received = "";
    ended = undefined;
    let open = false;
    socket = net.connect(number, word, () => ((open = true), heard()));
    socket.on("data", (data) => ((received += data), heard()));
    socket.on("end", () => ((ended ??= "="), heard()));
    socket.on("error", (error) => ((ended = `!${error.code}`), heard()));
    when(patience, () => (open ? "=" : ended));
  },
  send({ word }) {
    socket.write(word);
    answer(ended?.startsWith("!") ? ended : "=");
  },
  recv({ word: count, patience }) {
    when(patience, () => {
      if (!received) return ended;
      const part = received.slice(0, count);
      received = received.slice(count);
      return `=${part}`;
    });
  },
  close() {
    socket?.destroy();
    answer("=");
  },
};
port.on("message", (request) => asked[request.what](request));
