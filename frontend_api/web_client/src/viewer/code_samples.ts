/** Programs that submit a task's parameters. Pure. */

import type { Parameters } from "@darkroom/web";

export type Language = "curl" | "python" | "javascript" | "openai";

/** `page` is the address of the page, and of the API below it. */
export function codeSample(language: Language, parameters: Parameters, page: string): string {
  const { prompt, ...rest } = parameters;
  const json = JSON.stringify(parameters, null, 2);
  switch (language) {
    case "curl":
      return `curl -X POST ${page}v1/tasks \\\n  -H 'Content-Type: application/json' \\\n  -d '${json.replaceAll("'", "'\\''")}'`;
    case "python":
      return [
        "from darkroom import Client",
        "",
        `with Client("${page.replace(/\/$/, "")}") as darkroom:`,
        `    result = darkroom.generate(\n        ${python(prompt)},`,
        ...Object.entries(rest).map(([name, value]) => `        ${name}=${python(value)},`),
        "    )",
        "    for image in result.images:",
        '        print(image.save("."))',
      ].join("\n");
    case "javascript":
      return [
        `const response = await fetch("${page}v1/tasks", {`,
        '  method: "POST",',
        '  headers: { "content-type": "application/json", prefer: "wait=55" },',
        `  body: JSON.stringify(${json.replaceAll("\n", "\n  ")}),`,
        "});",
        "const task = await response.json();",
        "console.log(task.status, task.images.map(({ url }) => url));",
      ].join("\n");
    case "openai": {
      const { model, width, height, num_images: count, ...own } = rest;
      const body = Object.entries(own).filter(([name]) => OPENAI_EXTRAS.has(name));
      return [
        "import base64",
        "from pathlib import Path",
        "",
        "from openai import OpenAI",
        "",
        `client = OpenAI(base_url="${page}openai/v1", api_key="local")`,
        "made = client.images.generate(",
        `    model=${python(model)},`,
        `    prompt=${python(prompt)},`,
        `    n=${python(count)},`,
        `    size="${String(width)}x${String(height)}",`,
        ...(own.output_format === undefined ? [] : [`    output_format=${python(own.output_format)},`]),
        `    extra_body={${body.map(([name, value]) => `${python(name)}: ${python(value)}`).join(", ")}},`,
        ")",
        "for number, image in enumerate(made.data):",
        '    file = Path(f"image-{number}.{made.output_format}")',
        "    file.write_bytes(base64.b64decode(image.b64_json))",
        "    print(file)",
      ].join("\n");
    }
  }
}

/** darkroom's own parameters that its OpenAI-compatible API accepts. */
const OPENAI_EXTRAS = new Set([
  "seed", "negative_prompt", "steps", "guidance_scale", "sampler", "prompt_syntax", "clip_skip", "guidance_rescale", "eta", "metadata",
]);

/** A value as Python. JSON's texts and numbers are Python's, too. */
function python(value: unknown): string {
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object" && value !== null)
    return `{${Object.entries(value).map(([name, inner]) => `${python(name)}: ${python(inner)}`).join(", ")}}`;
  return JSON.stringify(value);
}
