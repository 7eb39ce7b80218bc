/** The parameters in an image file: darkroom's record, or the lines that other image generation programs write. Pure. */

export type RecordedParameters = Readonly<Record<string, unknown>>;

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const XMP_ATTRIBUTE = "darkroom:record=";
const ENTITIES: Readonly<Record<string, string>> = {
  "&quot;": '"', "&apos;": "'", "&#10;": "\n", "&#13;": "\r", "&#9;": "\t", "&lt;": "<", "&gt;": ">", "&amp;": "&",
};

/** Return the parameters of an image file; null if it contains none. The bytes are not trusted. */
export function recordedParameters(bytes: Uint8Array): RecordedParameters | null {
  const isPng = PNG_SIGNATURE.every((byte, index) => bytes[index] === byte);
  const texts = isPng ? pngTexts(bytes) : new Map([["darkroom", fromXmp(bytes)]]);
  return fromRecord(texts.get("darkroom") ?? "") ?? fromLines(texts.get("parameters") ?? "");
}

/** The uncompressed text chunks of a PNG by their keywords. */
function pngTexts(bytes: Uint8Array): Map<string, string> {
  const texts = new Map<string, string>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let position = PNG_SIGNATURE.length; position + 12 <= bytes.length; ) {
    const length = view.getUint32(position);
    const kind = latin1(bytes.subarray(position + 4, position + 8));
    const body = bytes.subarray(position + 8, position + 8 + length);
    const end = body.indexOf(0);
    if (kind === "tEXt" && end > 0) texts.set(latin1(body.subarray(0, end)), latin1(body.subarray(end + 1)));
    // After the keyword: compression flag and method, language, translated keyword, text.
    if (kind === "iTXt" && end > 0 && body[end + 1] === 0) {
      const text = body.indexOf(0, body.indexOf(0, end + 3) + 1) + 1;
      texts.set(latin1(body.subarray(0, end)), new TextDecoder().decode(body.subarray(text)));
    }
    position += length + 12;
  }
  return texts;
}

function fromXmp(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes);
  const start = text.indexOf(XMP_ATTRIBUTE);
  if (start === -1) return "";
  const [, quote = "", rest = ""] = /^(["'])([^]*)/.exec(text.slice(start + XMP_ATTRIBUTE.length)) ?? [];
  const [value = ""] = rest.split(quote, 1);
  return value.replace(/&(?:quot|apos|lt|gt|amp|#10|#13|#9);/g, (entity) => ENTITIES[entity] ?? entity);
}

function fromRecord(json: string): RecordedParameters | null {
  try {
    const { parameters } = JSON.parse(exactNumbers(json)) as { parameters?: unknown };
    return typeof parameters === "object" && parameters !== null ? (parameters as RecordedParameters) : null;
  } catch {
    return null;
  }
}

/** The seed as text: it may exceed JavaScript's numbers. */
function exactNumbers(json: string): string {
  return json.replace(/"seed":\s*(\d+)/g, '"seed":"$1"');
}

const LINES_FIELDS: Readonly<Record<string, string>> = { "Steps": "steps", "CFG scale": "guidance_scale", "Seed": "seed" };

/** The lines "prompt", "Negative prompt: …" and "Steps: 20, CFG scale: 7, Seed: 1, Size: 512x512". */
function fromLines(text: string): RecordedParameters | null {
  const lines = text.split("\n");
  const settings = lines.findLast((line) => /(^|, )Steps: \d/.test(line));
  if (settings === undefined) return null;
  const [prompt = "", negative = ""] = lines.slice(0, lines.lastIndexOf(settings)).join("\n").split(/^Negative prompt: /m);
  const pairs = [...settings.matchAll(/(?:^|, )([A-Za-z][A-Za-z ]*): ([^,]*)/g)].map(([, name = "", value = ""]) => [name, value] as const);
  const size = /^(\d+)x(\d+)$/.exec(pairs.find(([name]) => name === "Size")?.[1] ?? "");
  return {
    prompt: prompt.trim(),
    ...(negative.trim() === "" ? {} : { negative_prompt: negative.trim() }),
    ...Object.fromEntries(pairs.flatMap(([name, value]) => (LINES_FIELDS[name] === undefined ? [] : [[LINES_FIELDS[name], value]]))),
    ...(size === null ? {} : { width: size[1], height: size[2] }),
  };
}

function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}
