import { expect, test } from "vitest";

import { titleOf } from "../src/title_badge";

test("the title counts unfinished tasks and marks finished ones", () => {
  expect([titleOf(0, false), titleOf(2, false), titleOf(0, true)]).toEqual(["darkroom", "(2) darkroom", "✓ darkroom"]);
});
