/**
 * Many pages without a browser: `node listening_pages.mjs ADDRESS COUNT`.
 *
 * Prints a line when all of them follow their tasks by Firestore, and then, for each line of its input, the changes that
 * each of them has received since, as JSON. Ends with its input.
 */

import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";

import { build, defaultClientConditions } from "vite";

const [address, count] = process.argv.slice(2);
const [{ output: [{ code }] }] = await build({
  configFile: false,
  logLevel: "warn",
  resolve: { conditions: ["@darkroom/source", ...defaultClientConditions] },
  build: {
    write: false,
    target: "es2022",
    lib: { entry: fileURLToPath(new URL("listening_page.mjs", import.meta.url)), formats: ["es"] },
    rolldownOptions: { external: [/^node:/] },
  },
});
const module = new URL(`data:text/javascript;base64,${Buffer.from(code).toString("base64")}`);

const pages = Array.from({ length: Number(count) }, () => ({ isLive: false, changes: [] }));
let isReady = false;
for (const page of pages) {
  new Worker(module, { workerData: { address } }).on("message", ({ isLive, change }) => {
    if (isLive !== undefined) page.isLive = isLive;
    if (change !== undefined) page.changes.push(change);
    if (isReady || !pages.every((one) => one.isLive)) return;
    isReady = true;
    console.log("ready");
  });
}
for await (const _ of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(pages.map(({ changes }) => changes.splice(0))));
}
process.exit();
