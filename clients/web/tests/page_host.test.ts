import { afterEach, expect, test, vi } from "vitest";

import type { Configuration } from "../src/configuration.js";
import { withPageHost } from "../src/page_host.js";

const emulator = { host: "127.0.0.1", port: 8081, page_hosts: "*.localhost" };

afterEach(() => { vi.unstubAllGlobals(); });

function requestsAnsweredBy(answer: () => Promise<unknown>): readonly string[] {
  const requests: string[] = [];
  vi.stubGlobal("fetch", (url: string) => {
    requests.push(url);
    return answer();
  });
  return requests;
}

async function hostFor(firestore_emulator: Configuration["firestore_emulator"]): Promise<string | undefined> {
  const rest = { project_id: "demo", firebase: null, mock_user_token: null, user_id: "local", max_share_days: 30 };
  return (await withPageHost({ ...rest, firestore_emulator })).firestore_emulator?.host;
}

test("a page has one host name of its own", async () => {
  const requests = requestsAnsweredBy(() => Promise.resolve());
  const host = await hostFor(emulator);
  expect(host).toMatch(/^page-[0-9a-z]{1,16}\.localhost$/);
  expect(await hostFor(emulator)).toBe(host);
  expect(requests[0]).toBe(`http://${host}:8081/readyz`);
});

test("a browser that does not resolve the name uses the plain one", async () => {
  requestsAnsweredBy(() => Promise.reject(new TypeError("Load failed")));
  expect(await hostFor(emulator)).toBe("127.0.0.1");
});

test("without names for pages nothing is requested", async () => {
  const requests = requestsAnsweredBy(() => Promise.resolve());
  expect(await hostFor({ host: "emulators.example", port: 8081 })).toBe("emulators.example");
  expect(await hostFor({ ...emulator, page_hosts: null })).toBe("127.0.0.1");
  expect(await hostFor(null)).toBeUndefined();
  expect(requests).toEqual([]);
});
