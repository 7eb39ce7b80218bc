// OpenAI's official Node package against darkroom: node openai_client.mjs ADDRESS KEY; prints what happened as JSON.
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

const four = await client.images.generate({ prompt, n: 4, size: "64x64", steps: 2, seed: "9007199254740993" });
const linked = await client.images.generate({ prompt, size: "64x64", response_format: "url", steps: 2 });
const fetched = await fetch(linked.data[0].url, { headers: { authorization: `Bearer ${apiKey}` } });
const events = [];
const stream = await client.images.generate({ prompt, size: "512x512", stream: true, partial_images: 3, steps: 40 });
for await (const event of stream) events.push(event.type);
const models = [];
for await (const model of client.models.list()) models.push(model.id);

const user = `gone-${process.pid}`;
const gone = await errorOf(() =>
  client.images.generate({ prompt, user, n: 4, size: "512x512", steps: 100 }, { signal: AbortSignal.timeout(1_500) }),
);

console.log(
  JSON.stringify({
    four: four.data.map((image) => [isPng(image.b64_json), image.seed_text]),
    fetched: [fetched.status, fetched.headers.get("content-type")],
    events,
    models,
    user,
    gone,
    invalid: await errorOf(() => client.images.generate({ prompt, size: "63x64" })),
    unknown: await errorOf(() => client.images.generate({ prompt, model: "dall-e-3" })),
    unauthenticated: await errorOf(() => new OpenAI({ baseURL, apiKey: "drk_wrong", maxRetries: 0 }).models.list()),
  }),
);
