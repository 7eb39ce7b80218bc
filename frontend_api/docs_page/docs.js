// Draws the reference from /openapi.json. Text only ever enters the page as text nodes.

const VERBS = ["get", "post", "put", "patch", "delete"];

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

// `code` spans are the only markup that descriptions use.
function prose(text = "") {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}

function nameOf(reference) {
  return reference.split("/").pop();
}

function typeOf(schema) {
  if (!schema) return ["any"];
  if (schema.$ref) return [element("a", { href: `#schema-${nameOf(schema.$ref)}` }, nameOf(schema.$ref))];
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.flatMap((choice, index) => (index ? [" or ", ...typeOf(choice)] : typeOf(choice)));
  if (schema.enum) return schema.enum.flatMap((value, index) => (index ? [" · ", element("code", {}, String(value))] : [element("code", {}, String(value))]));
  if (schema.type === "array") return ["list of ", ...typeOf(schema.items)];
  const values = Object.values(schema.patternProperties ?? {})[0] ?? schema.additionalProperties;
  if (schema.type === "object" && typeof values === "object") return ["map of ", ...typeOf(values)];
  return [schema.format ? `${schema.type} (${schema.format})` : String(schema.type ?? "any")];
}

function boundsOf(schema) {
  const shapes = [schema, ...(schema.anyOf ?? [])];
  const find = (key) => shapes.map((shape) => shape[key]).find((value) => value !== undefined);
  const told = [];
  const [low, high] = [find("minimum"), find("maximum")];
  if (low !== undefined || high !== undefined) told.push(`${low ?? "…"} to ${high ?? "…"}`);
  if (find("maxLength") !== undefined) told.push(`at most ${find("maxLength")} characters`);
  if (find("maxProperties") !== undefined) told.push(`at most ${find("maxProperties")} entries`);
  const usual = schema.default;
  if (usual !== undefined && usual !== null && typeof usual !== "object") told.push(`default ${usual}`);
  return told.length ? ` (${told.join(", ")})` : "";
}

function table(headings, rows) {
  if (!rows.length) return null;
  return element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, element("tr", {}, headings.map((heading) => element("th", { scope: "col" }, heading)))),
    element("tbody", {}, rows.map((cells) => element("tr", {}, cells.map((cell) => element("td", {}, cell)))))));
}

function fieldsOf(schema) {
  const required = new Set(schema.required ?? []);
  return table(["Field", "Type", "Meaning"], Object.entries(schema.properties ?? {}).map(([name, shape]) => [
    [element("code", {}, name), required.has(name) ? " *" : ""],
    typeOf(shape),
    [...prose(shape.description), boundsOf(shape)],
  ]));
}

function exampleOf(path, verb, operation, schemas) {
  const body = operation.requestBody?.content?.["application/json"]?.schema;
  const lines = [`curl ${verb === "get" ? "" : `-X ${verb.toUpperCase()} `}${location.origin}${path}`];
  if (body?.$ref) {
    const asked = {};
    for (const [name, shape] of Object.entries(schemas[nameOf(body.$ref)].properties ?? {})) {
      if (shape.examples) asked[name] = shape.examples[0];
    }
    if (Object.keys(asked).length) {
      lines.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(asked)}'`);
    }
  }
  const text = lines.join(" \\\n  ");
  const button = element("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return element("div", { class: "example" }, element("pre", {}, element("code", {}, text)), button);
}

function answersOf(operation) {
  return Object.entries(operation.responses).map(([status, answer]) => {
    const [media, content] = Object.entries(answer.content ?? {})[0] ?? [];
    const shape = content?.schema ? typeOf(content.schema) : media ? [media] : ["–"];
    const headers = Object.keys(answer.headers ?? {});
    return [
      element("code", {}, status),
      [...prose(answer.description), ...(headers.length ? [" Headers: ", headers.join(", "), "."] : [])],
      shape,
    ];
  });
}

function operationCard(path, verb, operation, schemas) {
  const body = operation.requestBody?.content?.["application/json"]?.schema;
  const parameters = (operation.parameters ?? []).map((parameter) => [
    [element("code", {}, parameter.name), parameter.required ? " *" : ""],
    parameter.in,
    typeOf(parameter.schema),
    [...prose(parameter.description), boundsOf(parameter.schema)],
  ]);
  const card = element("details", { class: "card", id: operation.operationId },
    element("summary", {},
      element("span", { class: `verb ${verb}` }, verb.toUpperCase()),
      element("span", { class: "path" }, path),
      element("span", { class: "summary" }, operation.summary ?? ""),
      operation.security?.length === 0 ? element("span", { class: "open-door" }, "open to all") : null),
    element("div", { class: "inside" },
      parameters.length ? [element("h3", {}, "Parameters"), table(["Name", "In", "Type", "Meaning"], parameters)] : null,
      body ? [element("h3", {}, ["Body: ", ...typeOf(body)]), body.$ref ? fieldsOf(schemas[nameOf(body.$ref)]) : null] : null,
      element("h3", {}, "Answers"), table(["Status", "Meaning", "Body"], answersOf(operation)),
      element("h3", {}, "Example"), exampleOf(path, verb, operation, schemas)));
  card.dataset.words = `${verb} ${path} ${operation.summary} ${operation.operationId}`.toLowerCase();
  return card;
}

function schemaCard(name, schema) {
  const card = element("details", { class: "card", id: `schema-${name}` },
    element("summary", {}, element("span", { class: "path" }, name), element("span", { class: "summary" }, prose(schema.description?.split("\n\n")[0]))),
    element("div", { class: "inside" }, schema.enum ? element("p", {}, typeOf(schema)) : fieldsOf(schema)));
  card.dataset.words = `schema ${name}`.toLowerCase();
  return card;
}

function problemTable(problems) {
  return table(["Code", "Status", "Title", "Try again?"], Object.entries(problems).map(([code, problem]) => [
    element("code", { id: `problem-${code.replaceAll("_", "-")}` }, code),
    String(problem.status),
    problem.title,
    problem.retryable ? "yes, later" : "no",
  ]));
}

function draw(api) {
  const schemas = api.components.schemas;
  const content = document.getElementById("content");
  const contents = document.getElementById("contents");
  document.getElementById("version").textContent = api.info.version;
  content.replaceChildren(element("h1", {}, api.info.summary), element("p", { class: "muted" }, prose(api.info.description)));
  for (const { name: tag } of api.tags) {
    const section = element("section", {}, element("h2", { id: `tag-${tag}` }, tag));
    const list = element("ul");
    for (const [path, verbs] of Object.entries(api.paths)) {
      for (const verb of VERBS.filter((verb) => verbs[verb]?.tags.includes(tag))) {
        section.append(operationCard(path, verb, verbs[verb], schemas));
        list.append(element("li", {}, element("a", { href: `#${verbs[verb].operationId}` }, verbs[verb].summary)));
      }
    }
    content.append(section);
    contents.append(element("h2", {}, tag), list);
  }
  content.append(element("section", {}, element("h2", { id: "problems" }, "Problems"),
    element("p", {}, prose("Every refusal is `application/problem+json` (RFC 9457). `code` is stable; `errors` says where and what would do.")),
    problemTable(api["x-problems"])));
  content.append(element("section", {}, element("h2", { id: "schemas" }, "Schemas"),
    Object.entries(schemas).map(([name, schema]) => schemaCard(name, schema))));
  contents.append(element("h2", {}, "Reference"), element("ul", {},
    ["problems", "schemas"].map((name) => element("li", {}, element("a", { href: `#${name}` }, name)))));
  content.setAttribute("aria-busy", "false");
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target instanceof HTMLDetailsElement) target.open = true;
  target.scrollIntoView({ block: target.matches("details, h2") ? "start" : "center" });
}

function filterCards(words) {
  for (const card of document.querySelectorAll(".card")) card.hidden = !card.dataset.words.includes(words);
  for (const section of document.querySelectorAll("main section")) {
    const cards = [...section.querySelectorAll(".card")];
    section.hidden = cards.length > 0 && cards.every((card) => card.hidden);
  }
}

try {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`/openapi.json answered ${answer.status}`);
  draw(await answer.json());
  openTarget();
  addEventListener("hashchange", openTarget);
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => filterCards(filter.value.trim().toLowerCase()));
  addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== filter) {
      event.preventDefault();
      filter.focus();
    }
  });
} catch (error) {
  document.getElementById("loading").textContent = `The reference could not be drawn: ${error.message}`;
}
