/** Entry point of the API reference. The viewer defines the element `<openapi-explorer>` in docs.html. */

import "./theme";
import "./text_only_markup";
import "openapi-explorer";
import { followOtherPages } from "./session";

// The viewer keeps the API key that a user enters under "Authentication".
followOtherPages();

/** The viewer shows an empty pane for a hash without a route. */
addEventListener("hashchange", () => {
  const query = new URLSearchParams(location.hash.split("?")[1]);
  if (!query.get("route")) location.replace("#?route=overview");
});
