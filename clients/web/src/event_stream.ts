/** Server-sent events from a response's body. EventSource cannot send credentials. */

export interface ServerSentEvent {
  readonly event: string;
  readonly data: string;
}

/** Collects the parts of a stream. Pure. */
export class EventParser {
  #text = "";
  #event = "";
  #data: string[] = [];

  /** Return the events that this part of the stream completes. */
  push(text: string): readonly ServerSentEvent[] {
    const lines = (this.#text + text).split(/\r?\n/);
    this.#text = lines.pop() ?? "";
    const events: ServerSentEvent[] = [];
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length > 0) events.push({ event: this.#event || "message", data: this.#data.join("\n") });
        this.#event = "";
        this.#data = [];
      } else this.#readField(line);
    }
    return events;
  }

  #readField(line: string): void {
    const [name, ...rest] = line.split(":");
    const value = rest.join(":").replace(/^ /, "");
    if (name === "event") this.#event = value;
    if (name === "data") this.#data.push(value);
  }
}

/** Call back with each event until the stream ends, and `onBytes` with each part, including comments. */
export async function readEvents(
  body: ReadableStream<Uint8Array>,
  onEvent: (event: ServerSentEvent) => void,
  onBytes: () => void,
): Promise<void> {
  const parser = new EventParser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onBytes();
    for (const event of parser.push(decoder.decode(value, { stream: true }))) onEvent(event);
  }
}
