/** The actions of the buttons of cards and of the viewer. */

import type { ChangeResult, DarkroomClient, LabelChange, Seed, TaskDocument } from "@darkroom/web";

import { announce } from "./announcer";
import { readAgain } from "./bulk/read_again";
import { save } from "./dom";
import { fileName } from "./formatting";
import { CREATED_BEFORE } from "./form/form_message";
import type { FormValues } from "./form/form_values";
import { lorasText } from "./form/lora_field";
import type { SubmitIntent } from "./form/submit_intent";
import type { ParameterForm } from "./form/parameter_form";
import type { TaskActions } from "./task_card";
import type { ViewerActions } from "./viewer/viewer";

/** How many images "more like this" generates, where the model permits it. */
const MORE_IMAGES = 4;

type Actions = Omit<TaskActions, "download" | "reuse" | "useLabel"> & Pick<ViewerActions, "reuse" | "parametersOf" | "imageSource"> & {
  /** Download one image, or all images if `index` is missing. */
  download(task: TaskDocument, index?: number): Promise<void>;
  cancelMany(ids: readonly string[]): Promise<readonly ChangeResult[]>;
  deleteMany(ids: readonly string[]): Promise<readonly ChangeResult[]>;
  labelMany(ids: readonly string[], change: LabelChange): Promise<readonly ChangeResult[]>;
};

/** The loaded tasks that do not change by themselves. */
export interface LoadedTasks {
  put(tasks: readonly TaskDocument[]): void;
  remove(ids: readonly string[]): void;
}

export function createActions(api: DarkroomClient, form: ParameterForm, loaded: LoadedTasks, intent: SubmitIntent, open: TaskActions["open"]): Actions {
  /** The document has the seed unless it is too large for JavaScript's numbers; then the API has it. */
  const seedOf = async (task: TaskDocument, index = 0): Promise<Seed> =>
    task.images.find((image) => image.index === index)?.seed ?? (index === 0 ? task.seed : null) ?? (await api.seedOf(task.id)) ?? "";

  /** Show the changed tasks at once. */
  const put = (results: readonly ChangeResult[]) => {
    loaded.put(results.flatMap(({ task }) => task ?? []));
    return results;
  };

  return {
    cancelMany: async (ids) => put(await api.cancelMany(ids)),
    labelMany: async (ids, change) => put(await api.labelMany(ids, change)),
    deleteMany: async (ids) => {
      const results = await api.deleteMany(ids);
      loaded.remove(results.flatMap(({ id, problem }) => (problem === null ? id : [])));
      return results;
    },
    latest: async (tasks) => {
      const current = await readAgain(tasks, api);
      const ids = new Set(current.map(({ id }) => id));
      loaded.put(current);
      loaded.remove(tasks.flatMap(({ id }) => (ids.has(id) ? [] : id)));
      return current;
    },
    cancel: async (task) => { loaded.put([await api.cancel(task.id)]); },
    delete: async (task) => {
      await api.delete(task.id);
      loaded.remove([task.id]);
    },
    retry: async (task) => { loaded.put([await api.retry(task.id)]); },
    label: async (task, change) => { loaded.put([await api.label(task.id, change)]); },
    queueEstimate: (task) => api.queueEstimate(task.id),
    imageSource: (task, index) => api.imageSource(task.id, index),
    thumbnailSource: (task, index) => api.thumbnailSource(task.id, index),
    open,
    drag(task, index, data) {
      const { contentType = "image/png", seed = null } = task.images.find((image) => image.index === index) ?? {};
      const url = api.imageAddress(task.id, index);
      const name = fileName(task.prompt, seed ?? task.seed, index, contentType);
      data.setData("text/uri-list", url);
      // Chromium saves this file where it is dropped outside the browser.
      data.setData("DownloadURL", `${contentType}:${name}:${url}`);
    },
    async download(task, index) {
      for (const image of task.images.filter((one) => index === undefined || one.index === index)) {
        try {
          const name = fileName(task.prompt, image.seed ?? task.seed, image.index, image.contentType);
          save(await api.imageBytes(task.id, image.index), name);
        } catch (error) {
          // A bucket without CORS rejects fetch(): open the signed URL instead.
          const url = await api.imageSource(task.id, image.index);
          if (new URL(url, location.href).origin === location.origin) throw error;
          window.open(url, "_blank", "noopener");
        }
      }
    },
    async reuse(kind, task, index) {
      switch (kind) {
        case "more": {
          const parameters = await api.parametersOf(task.id);
          // Without a seed, the service chooses one.
          const body = JSON.stringify({ ...parameters, seed: null, num_images: form.imagesAtMost(MORE_IMAGES, task.model) });
          const { replayed } = await intent.submit(body, (key) => api.submit(body, key));
          const message = replayed ? CREATED_BEFORE : "More images like this one are queued.";
          form.message.showQueued(message);
          return message;
        }
        case "prompt":
          form.fill({ prompt: task.prompt, negative_prompt: task.negativePrompt, prompt_syntax: task.promptSyntax });
          form.focusField("prompt");
          announce("The form now has this prompt.");
          return null;
        case "seed": {
          const seed = await seedOf(task, index ?? 0);
          form.useSeed(seed);
          announce(`The form now uses seed ${seed}.`);
          return null;
        }
        case "remix":
          form.fill({ ...valuesOf(task, index), seed: "" });
          form.focusField("prompt");
          announce("The form now has the settings of this image, with a random seed.");
          return null;
        case "all": {
          const seed = await seedOf(task, index ?? 0);
          form.fill(valuesOf(task, index));
          form.useSeed(seed);
          announce("The form now has the settings of this image.");
          return null;
        }
      }
    },
    parametersOf: (task) => api.parametersOf(task.id),
  };
}

/** The values of the form for a task; for one of its images if `index` is given. The seed is missing. */
function valuesOf(task: TaskDocument, index?: number): Partial<FormValues> {
  return {
    model: task.model,
    prompt: task.prompt,
    negative_prompt: task.negativePrompt,
    prompt_syntax: task.promptSyntax,
    steps: String(task.steps),
    ...(task.guidanceScale === null ? {} : { guidance_scale: String(task.guidanceScale) }),
    sampler: task.sampler,
    width: String(task.width),
    height: String(task.height),
    output_format: task.outputFormat,
    output_quality: task.outputQuality === null ? "" : String(task.outputQuality),
    metadata: task.metadata,
    num_images: index === undefined ? String(task.imageCount) : "1",
    image: task.image ?? "",
    mask_image: task.maskImage ?? "",
    control_image: task.controlImage ?? "",
    ...(task.controlnet === null ? {} : { controlnet: task.controlnet }),
    ...(task.controlScale === null ? {} : { control_scale: String(task.controlScale) }),
    reference_image: task.referenceImage ?? "",
    ...(task.ipAdapter === null ? {} : { ip_adapter: task.ipAdapter }),
    ...(task.referenceScale === null ? {} : { reference_scale: String(task.referenceScale) }),
    loras: lorasText(task.loras),
    ...(task.strength === null ? {} : { strength: String(task.strength) }),
  };
}
