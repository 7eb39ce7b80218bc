/** Entry point of the API reference. The viewer defines the element `<openapi-explorer>` in docs.html. */

import "openapi-explorer";
