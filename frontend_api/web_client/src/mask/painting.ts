/** The canvas of a mask: opaque where the picture is generated again, transparent elsewhere. */

import type { Edit, Point, Size, Stroke } from "./edits";
import { selectPixels, selectedShare } from "./mask_pixels";

/** Readable on most pictures; the style sheet makes the canvas translucent. */
const COLOR = [255, 64, 48] as const;
const STYLE = `rgb(${COLOR.join(" ")})`;

export class Painting {
  readonly #context: CanvasRenderingContext2D;
  /** The mask before the first edit. */
  #base: HTMLCanvasElement | null = null;

  constructor(readonly canvas: HTMLCanvasElement) {
    this.#context = contextOf(canvas);
  }

  /** Start with a mask of any size for a picture of this size; null: with nothing selected. */
  begin({ width, height }: Size, mask: CanvasImageSource | null): void {
    Object.assign(this.canvas, { width, height });
    this.#base = mask === null ? null : selectionOf(mask, { width, height });
    this.draw([]);
  }

  /** Draw the mask after these edits. */
  draw(edits: readonly Edit[]): void {
    this.#clear();
    if (this.#base !== null) this.#context.drawImage(this.#base, 0, 0);
    for (const edit of edits) this.apply(edit);
  }

  apply(edit: Edit): void {
    switch (edit.kind) {
      case "stroke": this.paint(edit, edit.points); break;
      case "fill": this.#fill("source-over"); break;
      case "clear": this.#clear(); break;
      // Opaque over transparent stays, opaque over opaque is removed.
      case "invert": this.#fill("xor"); break;
    }
  }

  /** Draw a part of a stroke: a line through these points, with round ends. */
  paint({ tool, size }: Pick<Stroke, "tool" | "size">, [first, ...others]: readonly Point[]): void {
    if (first === undefined) return;
    const context = this.#context;
    context.globalCompositeOperation = tool === "brush" ? "source-over" : "destination-out";
    context.fillStyle = context.strokeStyle = STYLE;
    Object.assign(context, { lineWidth: size, lineCap: "round", lineJoin: "round" });
    // Browsers draw no line without length.
    context.beginPath();
    context.arc(first.x, first.y, size / 2, 0, 2 * Math.PI);
    context.fill();
    context.beginPath();
    context.moveTo(first.x, first.y);
    for (const { x, y } of others) context.lineTo(x, y);
    context.stroke();
  }

  /** The share of the picture that is selected, from 0 to 1. */
  get share(): number {
    const { width, height } = this.canvas;
    return selectedShare(this.#context.getImageData(0, 0, width, height).data);
  }

  /** The mask as an opaque PNG of the picture's size, white where the picture is generated again. */
  toPng(): Promise<Blob> {
    const { width, height } = this.canvas;
    const output = Object.assign(document.createElement("canvas"), { width, height });
    const context = contextOf(output);
    context.drawImage(this.canvas, 0, 0);
    for (const [operation, color] of [["source-in", "white"], ["destination-over", "black"]] as const) {
      context.globalCompositeOperation = operation;
      context.fillStyle = color;
      context.fillRect(0, 0, width, height);
    }
    return new Promise((resolve, reject) => {
      output.toBlob((png) => {
        if (png === null) reject(new Error("The mask cannot be encoded."));
        else resolve(png);
      }, "image/png");
    });
  }

  #fill(operation: GlobalCompositeOperation): void {
    this.#context.globalCompositeOperation = operation;
    this.#context.fillStyle = STYLE;
    this.#context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  #clear(): void {
    this.#context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.#context.globalCompositeOperation = "source-over";
  }
}

function selectionOf(mask: CanvasImageSource, { width, height }: Size): HTMLCanvasElement {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = contextOf(canvas);
  context.drawImage(mask, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height);
  selectPixels(pixels.data, COLOR);
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function contextOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  // The share is read after each edit.
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) throw new Error("The browser offers no canvas of this size.");
  return context;
}
