/** Numbers, times and names as text. Pure. */

const SAMPLERS: Readonly<Record<string, string>> = {
  ddim: "DDIM",
  euler: "Euler",
  euler_ancestral: "Euler ancestral",
  dpmpp_2m: "DPM++ 2M",
  dpmpp_2m_karras: "DPM++ 2M Karras",
  unipc: "UniPC",
  lcm: "LCM",
  pndm: "PNDM",
  flow_euler: "Flow Euler",
  own: "Model's own",
};

export function samplerTitle(name: string): string {
  return SAMPLERS[name] ?? name.replaceAll("_", " ");
}

export function promptSyntaxTitle(syntax: string): string {
  return { plain: "Plain text", weighted: "With weights, such as (word:1.3)" }[syntax] ?? syntax;
}

/** A text of the API without code marks: "`guidance_scale` is 1" becomes "guidance scale is 1". */
export function plainText(text: string): string {
  return text.replace(/`([^`]+)`/g, (_, code: string) => code.replaceAll("_", " "));
}

/** "0.8 s", "12 s", "3 min 05 s". */
export function duration(seconds: number): string {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

/** How long to wait: "45 s", "12 min", "3 h 20 min". Rounded up, so that it is not too early. */
export function waitText(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : minutesText(Math.ceil(seconds / 60));
}

/** "12 min" or, from 90 minutes on, "3 h 20 min", of whole minutes. */
export function minutesText(minutes: number): string {
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** "1st", "2nd", "3rd", "11th". */
export function ordinal(value: number): string {
  const suffixes: Readonly<Record<string, string>> = { one: "st", two: "nd", few: "rd", other: "th" };
  return `${value}${suffixes[new Intl.PluralRules("en", { type: "ordinal" }).select(value)] ?? "th"}`;
}

/** The time ("14:05") of a date of today, the day ("20 Nov") of an earlier one. */
export function timeOrDay(then: Date, now: Date, locale?: string): string {
  const sameDay = then.toDateString() === now.toDateString();
  return sameDay
    ? then.toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" })
    : then.toLocaleDateString(locale, { day: "numeric", month: "short" });
}

/** A file name from the prompt's first words and the seed. */
export function fileName(prompt: string, seed: string | null, index: number, contentType: string): string {
  const words = prompt
    .toLowerCase()
    .normalize("NFC")
    .replace(/[^\p{Letter}\p{Mark}\p{Number}]+/gu, "-")
    .replace(/^-+|-+$/g, "");
  const extension = contentType.split("/")[1]?.replace("jpeg", "jpg") ?? "png";
  const short = Array.from(new Intl.Segmenter().segment(words), ({ segment }) => segment).slice(0, 48).join("").replace(/-+$/, "");
  return `${[short || "image", seed ?? String(index)].join("-")}.${extension}`;
}

/** The first `length` characters; if text is cut off, the last one is an ellipsis. */
export function shortened(text: string, length: number): string {
  const characters = Array.from(text);
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join("")}…`;
}

/** The name of an image for assistive technology: "a fox", or "a fox, image 2 of 4". `index` counts from 0. */
export function imageName(prompt: string, index: number, count: number): string {
  const name = shortened(prompt, 200);
  return count === 1 ? name : `${name}, image ${index + 1} of ${count}`;
}

/** The beginning of a prompt in quotation marks, on one line. Its direction does not change the text around it. */
export function quoted(prompt: string): string {
  return `“\u2068${shortened(prompt.trim().replace(/\s+/g, " "), 40)}\u2069”`;
}
