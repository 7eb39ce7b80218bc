import { expect, test } from "vitest";

import { type ApiKey, keyFacts } from "../../src/account/api_keys";
import { signInMessage } from "../../src/account/sign_in_messages";

const NOW = new Date("2026-11-29T12:00:00Z");
const KEY: ApiKey = {
  id: "4f9aXYZ012345678",
  name: "nightly",
  scopes: ["read", "submit"],
  created_at: "2026-11-01T12:00:00Z",
  expires_at: "2027-01-30T12:00:00Z",
  last_used_at: "2026-11-28T12:00:00Z",
};

test("keyFacts names the key, its permissions, its use and its end", () => {
  expect(keyFacts(KEY, NOW, "en-GB")).toBe(
    "drk_4f9aXY…, read and submit; created 1 Nov 2026, last used 28 Nov 2026, valid until 30 Jan 2027",
  );
});

test("keyFacts of an unused, an endless and an expired key", () => {
  const endless = keyFacts({ ...KEY, scopes: ["admin", "read", "submit"], expires_at: null, last_used_at: null }, NOW, "en-GB");
  expect(endless).toBe("drk_4f9aXY…, admin, read, and submit; created 1 Nov 2026, never used, valid until revoked");
  expect(keyFacts({ ...KEY, expires_at: "2026-11-28T12:00:00Z" }, NOW, "en-GB")).toContain("expired 28 Nov 2026");
});

test.each([
  ["auth/popup-closed-by-user", ""],
  ["auth/popup-blocked", "The browser blocked the sign-in window. Permit pop-ups for this page, then try again."],
  ["auth/brand-new", "Sign-in failed. Try again."],
])("signInMessage of %s", (code, text) => {
  expect(signInMessage({ code })).toBe(text);
});

test.each([undefined, null, "text", new Error("failed"), { code: 7 }])("signInMessage of an unexpected error", (error) => {
  expect(signInMessage(error)).toBe("Sign-in failed. Try again.");
});
