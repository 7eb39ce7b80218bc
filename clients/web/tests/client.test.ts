import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { DarkroomClient, submittedParameters } from "../src/client.js";

const TASK = { id: "t1", status: "queued", parameters: { prompt: "a circle", seed_text: "7" }, model_served: false };

let requests: Request[];

/** Answer each request with the next response, as JSON. */
function answer(...responses: readonly unknown[]): void {
  const remaining = [...responses];
  vi.stubGlobal("fetch", (url: string, options: RequestInit) => {
    requests.push(new Request(new URL(url, location.href), options));
    return Promise.resolve(Response.json(remaining.shift()));
  });
}

beforeEach(() => {
  requests = [];
  vi.stubGlobal("location", new URL("https://page.example/app/"));
});

afterEach(() => { vi.unstubAllGlobals(); });

test("submit sends the parameters with a key, and returns the task", async () => {
  answer(TASK, TASK);
  const client = new DarkroomClient();
  const { task, served } = await client.submit({ prompt: "a circle" });
  expect([task.id, task.prompt, task.seed, served]).toEqual(["t1", "a circle", "7", false]);
  await client.submit('{"prompt":"a circle"}', "order-1");
  const [first, second] = requests;
  expect(first?.url).toBe("https://page.example/app/v1/tasks");
  expect(first?.headers.get("idempotency-key")).toMatch(/^[0-9a-f-]{36}$/);
  expect(second?.headers.get("idempotency-key")).toBe("order-1");
  expect(await first?.text()).toBe(await second?.text());
});

test.each([[202, {}, false], [200, { "idempotency-replayed": "true" }, true]])(
  "submit returns whether an earlier submission created the task: status %i", async (status, headers, replayed) => {
    vi.stubGlobal("fetch", () => Promise.resolve(Response.json(TASK, { status, headers })));
    expect((await new DarkroomClient().submit({ prompt: "a circle" }, "order-1")).replayed).toBe(replayed);
  });

test("requests carry the token, and go to the given address", async () => {
  answer({ models: [] });
  const client = new DarkroomClient({ baseUrl: "https://api.example/darkroom", token: () => Promise.resolve("secret") });
  expect(await client.models()).toEqual([]);
  expect(requests[0]?.url).toBe("https://api.example/darkroom/v1/models");
  expect(requests[0]?.headers.get("authorization")).toBe("Bearer secret");
});

test("many tasks are changed by one request, with a result for each", async () => {
  const problem = { code: "task_not_found", title: "Task not found", detail: "no task 't2'", retryable: false };
  const results = [
    { task_id: "t1", status: 200, task: TASK, problem: null, retry_after_seconds: null },
    { task_id: "t2", status: 404, task: null, problem, retry_after_seconds: null },
    { task_id: "t3", status: 503, task: null, problem: { ...problem, retryable: true }, retry_after_seconds: 2 },
  ];
  answer({ results }, { results });
  const client = new DarkroomClient();
  const labelled = await client.labelMany(["t1", "t2", "t3"], { team: null });
  expect(labelled.map(({ id, task }) => [id, task?.id ?? null])).toEqual([["t1", "t1"], ["t2", null], ["t3", null]]);
  expect(labelled.map((result) => result.problem?.status ?? null)).toEqual([null, 404, 503]);
  expect(labelled[2]?.problem?.retryAfterSeconds).toBe(2);
  expect(await requests[0]?.json()).toEqual({ task_ids: ["t1", "t2", "t3"], labels: { team: null } });
  // A task that does not exist counts as deleted.
  expect((await client.deleteMany(["t1", "t2", "t3"])).map((result) => result.problem?.status ?? null)).toEqual([null, null, 503]);
  expect(requests.map(({ url }) => new URL(url).pathname)).toEqual(["/app/v1/tasks:label", "/app/v1/tasks:delete"]);
});

/** Answer each request with this response. */
function answerAlways(body: unknown, status: number): void {
  vi.stubGlobal("fetch", () => Promise.resolve(body === null ? new Response(null, { status }) : Response.json(body, { status })));
}

test("deletion is complete when the API has deleted the task, or does not have it", async () => {
  const client = new DarkroomClient();
  answerAlways(null, 204);
  await client.delete("t1");
  answerAlways({ code: "task_not_found" }, 404);
  await client.delete("t1");
  expect(await client.findTask("t1")).toBeNull();
});

test.each([[404, { code: "not_found" }, "not_found"], [404, "a page", "http_404"], [200, "a page", "http_200"]])(
  "response %i of a proxy with %j does not count as a deletion", async (status, body, code) => {
    answerAlways(body, status);
    await expect(new DarkroomClient().delete("t1")).rejects.toMatchObject({ problem: { status, code } });
  });

test("404 of a proxy does not mean that a task does not exist", async () => {
  answerAlways("a page", 404);
  await expect(new DarkroomClient().findTask("t1")).rejects.toMatchObject({ problem: { code: "http_404" } });
});

test("task ids are escaped in paths", async () => {
  answer({});
  await new DarkroomClient().cancel("../keys");
  expect(requests[0]?.url).toBe("https://page.example/app/v1/tasks/..%2Fkeys/cancel");
});

describe("imageSource", () => {
  const address = "v1/tasks/t1/images/0";

  test("is the API's own address without a token and on the same origin", async () => {
    answer();
    expect(await new DarkroomClient().imageSource("t1", 0)).toBe(`https://page.example/app/${address}`);
    expect(requests).toEqual([]);
  });

  test("is the signed address where there is one", async () => {
    const signed = "https://bucket.example/image.png?signature=1";
    answer({ ...TASK, images: [{ index: 0, url: signed }] });
    const client = new DarkroomClient({ token: () => Promise.resolve("secret") });
    expect(await client.imageSource("t1", 0)).toBe(signed);
  });

  test("is an address of the bytes for a page of another origin", async () => {
    answer({ ...TASK, images: [{ index: 0, url: `/${address}` }] }, "bytes");
    const source = await new DarkroomClient({ baseUrl: "https://api.example/" }).imageSource("t1", 0);
    expect(source).toMatch(/^blob:/);
    expect(requests.map(({ url }) => url)).toEqual(["https://api.example/v1/tasks/t1", `https://api.example/${address}`]);
  });
});

test("submittedParameters are those that a submission accepts", () => {
  const parameters = { prompt: "a circle", seed: 1, seed_text: "9007199254740993", image: null, loras: [], guidance: "none", guidance_off_at: 0 };
  expect(submittedParameters(parameters)).toEqual({ prompt: "a circle", seed: "9007199254740993" });
});

test("all tasks of a status are read page by page", async () => {
  answer({ tasks: [TASK], next_page_token: "more" }, { tasks: [{ ...TASK, id: "t2", labels: { team: "a" } }], next_page_token: null });
  const tasks = await new DarkroomClient().allTasksWith("failed");
  expect(tasks.map(({ id, labels }) => [id, labels])).toEqual([["t1", {}], ["t2", { team: "a" }]]);
  expect(requests.map(({ url }) => new URL(url).search)).toEqual([
    "?status=failed&page_size=100", "?status=failed&page_size=100&page_token=more",
  ]);
});

test("labels are set and removed", async () => {
  answer({ ...TASK, labels: { team: "b" } });
  const task = await new DarkroomClient().label("t1", { team: "b", old: null });
  expect(task.labels).toEqual({ team: "b" });
  expect([requests[0]?.method, requests[0]?.url]).toEqual(["POST", "https://page.example/app/v1/tasks/t1/labels"]);
  expect(await requests[0]?.json()).toEqual({ labels: { team: "b", old: null } });
});

test("an error response whose body breaks off is a problem with its status", async () => {
  const broken = () => new ReadableStream({ start: (controller) => { controller.error(new TypeError("network error")); } });
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(broken(), { status: 503 })));
  await expect(new DarkroomClient().submit({ prompt: "a circle" })).rejects.toMatchObject({ problem: { status: 503, code: "http_503" } });
});

test("subscribe opens its stream again after the API has refused it", async () => {
  const problem = { code: "too_many_waiting", title: "Too many waiting callers", detail: "you have 20", retryable: true };
  const events = `event: task\ndata: ${JSON.stringify(TASK)}\n\nevent: complete\ndata: {}\n\n`;
  const responses = [Response.json(problem, { status: 429, headers: { "retry-after": "5" } }), new Response(events)];
  vi.stubGlobal("fetch", () => Promise.resolve(responses.shift() ?? new Response(null)));
  const listener = { onChange: vi.fn(), onConnectionChange: vi.fn(), onRejected: vi.fn() };
  const unsubscribe = new DarkroomClient().subscribe(50, listener);
  await vi.waitFor(() => { expect(listener.onChange).toHaveBeenCalledWith([expect.objectContaining({ id: "t1" })], false); });
  unsubscribe();
  expect(listener.onConnectionChange.mock.calls.slice(0, 2)).toEqual([[false], [true]]);
  expect(listener.onRejected).not.toHaveBeenCalled();
});
