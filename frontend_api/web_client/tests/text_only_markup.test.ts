import { expect, test } from "vitest";

import { textOf } from "../src/text_only_markup";

test.each([
  ["[{...}]", "[{...}]"],
  ["&#x2715;", "&#x2715;"],
  ['<span style="color:red">Denied</span>', "Denied"],
  ["<img src=x onerror=alert(1)>", ""],
  ["<<b>img src=x onerror=alert(1)", "img src=x onerror=alert(1)"],
  ["<scr<script>ipt>alert(1)", "ipt>alert(1)"],
  ["1 < 2", "1 &lt; 2"],
])("only the text of %s remains", (markup, text) => {
  expect(textOf(markup)).toBe(text);
});
