/** Copy a shown image to the clipboard, as PNG, which all browsers accept. */
export async function copyImage(image: HTMLImageElement): Promise<void> {
  const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
  canvas.getContext("2d")?.drawImage(image, 0, 0);
  const picture = new Promise<Blob>((resolve, reject) => {
    canvas.toBlob((blob) => {
      if (blob === null) reject(new Error("The image cannot be encoded."));
      else resolve(blob);
    }, "image/png");
  });
  await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
}
