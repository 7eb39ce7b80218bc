import { expect, test } from "vitest";

import { type Share, shareFacts, shareTitle } from "../../src/sharing/shares";

const SHARE: Share = { id: "a", image_index: 1, created_at: "2026-11-29T12:00:00", expires_at: "2026-12-06T14:30:00" };

test("shareTitle has the end, and the number of the image where there are several", () => {
  expect(shareTitle(SHARE, 1, "en-GB")).toBe("Until 6 Dec 2026, 14:30");
  expect(shareTitle(SHARE, 4, "en-GB")).toBe("Image 2, until 6 Dec 2026, 14:30");
});

test("shareFacts has the time of creation", () => {
  expect(shareFacts(SHARE, "en-GB")).toBe("Created 29 Nov 2026, 12:00");
});
