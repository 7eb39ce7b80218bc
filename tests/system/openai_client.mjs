// OpenAI's official Node package against darkroom: node openai_client.mjs [hang-up] ADDRESS KEY; prints what happened
// as JSON. With hang-up, it only submits a task and hangs up once the task exists.
import OpenAI from "openai";

const [baseURL, apiKey] = process.argv.slice(-2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const prompt = "a large red circle";
const isPng = (base64) => Buffer.from(base64, "base64").subarray(1, 4).toString() === "PNG";

async function errorOf(call) {
  try {
    await call();
  } catch (error) {
    return [error.constructor.name, error.status ?? null, error.code ?? null, error.param ?? null];
  }
  return null;
}

async function hangUp() {
  const user = `gone-${process.pid}`;
  const hangingUp = new AbortController();
  const error = errorOf(() => client.images.generate({ prompt, user, steps: 100 }, { signal: hangingUp.signal }));
  const tasks = new URL("/v1/tasks", baseURL);
  const exists = async () => {
    const answer = await fetch(tasks, { headers: { authorization: `Bearer ${apiKey}` } });
    return (await answer.json()).tasks.some((task) => task.labels.user === user);
  };
  while (!(await exists())) await new Promise((resolve) => setTimeout(resolve, 50));
  hangingUp.abort();
  return { user, error: await error };
}

if (process.argv.includes("hang-up")) {
  console.log(JSON.stringify(await hangUp()));
  process.exit();
}

const four = await client.images.generate({ prompt, n: 4, size: "64x64", steps: 2, seed: "9007199254740993" });
const linked = await client.images.generate({ prompt, size: "64x64", response_format: "url", steps: 2 });
const fetched = await fetch(linked.data[0].url, { headers: { authorization: `Bearer ${apiKey}` } });
const events = [];
const stream = await client.images.generate({ prompt, stream: true, partial_images: 3, steps: 40 });
for await (const event of stream) events.push(event.type);
const models = [];
for await (const model of client.models.list()) models.push(model.id);

console.log(
  JSON.stringify({
    four: four.data.map((image) => [isPng(image.b64_json), image.seed_text]),
    fetched: [fetched.status, fetched.headers.get("content-type")],
    events,
    models,
    invalid: await errorOf(() => client.images.generate({ prompt, size: "63x64" })),
    unknown: await errorOf(() => client.images.generate({ prompt, model: "dall-e-3" })),
    unauthenticated: await errorOf(() => new OpenAI({ baseURL, apiKey: "drk_wrong", maxRetries: 0 }).models.list()),
  }),
);
