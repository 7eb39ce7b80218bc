/** What the buttons of a card and of the viewer do. */

import { announce } from "./announcer";
import type { Api } from "./api";
import { save } from "./dom";
import { fileName } from "./formatting";
import type { ParameterForm } from "./parameter_form";
import type { Seed } from "./seeds";
import type { TaskActions } from "./task_card";
import type { TaskDocument } from "./task_document";
import type { ViewerActions } from "./viewer";

type Opened = (task: TaskDocument, index: number, source: string) => void;
type Actions = Omit<TaskActions, "download"> & Pick<ViewerActions, "reuseSettings"> & {
  /** One image of the task, or all of them when none is named. */
  download(task: TaskDocument, index?: number): Promise<void>;
};

export function actionsWith(api: Api, form: ParameterForm, opened: Opened): Actions {
  /** Firestore's JavaScript numbers hold most seeds exactly; the API tells the rest. */
  const seedOf = async (task: TaskDocument, index = 0): Promise<Seed> =>
    task.images.find((image) => image.index === index)?.seed ?? (index === 0 ? task.seed : null) ?? (await api.seedOf(task.id)) ?? "";

  return {
    cancel: (task) => api.cancel(task.id),
    delete: (task) => api.delete(task.id),
    retry: (task) => api.retry(task.id),
    outlook: (task) => api.outlookOf(task.id),
    imageSource: (task, index) => api.imageSource(task.id, index),
    open: opened,
    async download(task, index) {
      const wanted = index === undefined ? task.images : task.images.filter((image) => image.index === index);
      for (const image of wanted) {
        const name = fileName(task.prompt, image.seed ?? task.seed, image.index, image.contentType);
        try {
          save(await api.imageBytes(task.id, image.index), name);
        } catch (error) {
          // A bucket without CORS shows its pictures but does not hand out their bytes: open the link instead.
          const link = await api.imageSource(task.id, image.index);
          if (new URL(link, location.href).origin === location.origin) throw error;
          window.open(link, "_blank", "noopener");
        }
      }
    },
    async reuseSeed(task) {
      const seed = await seedOf(task);
      form.useSeed(seed);
      announce(`Seed ${seed} will be used again`);
    },
    async reuseSettings(task, index) {
      const seed = await seedOf(task, index);
      form.fill({
        model: task.model,
        prompt: task.prompt,
        negative_prompt: task.negativePrompt,
        steps: String(task.steps),
        guidance_scale: String(task.guidanceScale),
        sampler: task.sampler,
        width: String(task.width),
        height: String(task.height),
        output_format: task.outputFormat,
        num_images: "1",
      });
      form.useSeed(seed);
      announce("The form holds this picture’s settings");
    },
  };
}
