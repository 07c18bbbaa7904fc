// Runs a script of standard input on MicroPython: `node board.mjs FOLDER_OF_MICROPYTHON FOLDER_OF_MODULES...`.
// MicroPython waits for the network as boards do, so a worker holds the connection, and this thread sleeps meanwhile.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { MessageChannel, Worker, receiveMessageOnPort } from "node:worker_threads";

const signal = new Int32Array(new SharedArrayBuffer(4));
const { port1, port2 } = new MessageChannel();
const worker = new Worker(new URL("radio.mjs", import.meta.url), { workerData: { signal, port: port2 }, transferList: [port2] });

function ask(what, word, number, patience) {
  Atomics.store(signal, 0, 0);
  port1.postMessage({ what, word, number, patience });
  Atomics.wait(signal, 0, 0);
  return receiveMessageOnPort(port1).message;
}

const [, , micropython, ...folders] = process.argv;
const { loadMicroPython } = await import(pathToFileURL(path.join(micropython, "micropython.mjs")));
const board = await loadMicroPython({ stdout: (line) => console.log(line) });
board.registerJsModule("radio", { ask });
for (const folder of folders)
  for (const name of fs.readdirSync(folder).filter((name) => /\.m?py$/.test(name)))
    board.FS.writeFile(`/${name}`, fs.readFileSync(path.join(folder, name)));
try {
  board.runPython("import sys\nsys.path.insert(0, '/')");
  // This MicroPython collects its garbage between two scripts alone.
  for (const script of fs.readFileSync(0, "utf8").split("\n# then:\n")) board.runPython(script);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
await worker.terminate();
