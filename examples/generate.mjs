// Generate a prompt with fetch: node generate.mjs PROMPT
import { writeFile } from "node:fs/promises";

if (process.argv.length !== 3) {
  console.error("usage: node generate.mjs PROMPT");
  process.exit(2);
}
const api = (process.env.DARKROOM_URL ?? "http://localhost:8080").replace(/\/$/, "");

/** `path` is relative to the API, or an address from one of its responses. */
async function call(path, options) {
  const response = await fetch(new URL(path, `${api}/`), options);
  if (response.ok) return response;
  const problem = await response.json(); // RFC 9457
  throw new Error([problem.detail, ...problem.errors.map((each) => `${each.pointer}: ${each.detail}`)].join("\n"));
}

async function* events(task) {
  let text = "";
  for await (const chunk of (await call(task.urls.events)).body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").find((line) => line.startsWith("data: "));
      if (block.startsWith("event: task\n")) yield JSON.parse(data.slice("data: ".length));
    }
  }
}

let task = await (await call("v1/tasks", {
  method: "POST",
  headers: { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() },
  body: JSON.stringify({ prompt: process.argv[2], labels: { example: "javascript" } }),
})).json();

for await (task of events(task)) console.error(`${task.status} ${task.progress.step}/${task.progress.steps}`);
if (task.status !== "completed") throw new Error(task.failure?.message ?? task.status);

for (const image of task.images) {
  const name = `darkroom-${task.id}-${image.index}.png`;
  await writeFile(name, Buffer.from(await (await call(image.url)).arrayBuffer()));
  console.log(name);
}
