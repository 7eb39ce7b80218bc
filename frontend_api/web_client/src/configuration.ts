/** `GET /config.json`: where this page finds Firestore and how its user is known. */

export interface Configuration {
  readonly project_id: string;
  /** Set in the cloud: people sign in with Firebase Auth. */
  readonly firebase: {
    readonly apiKey: string;
    readonly authDomain: string;
    readonly projectId: string;
    readonly appId: string;
  } | null;
  /** Set on the local stack. */
  readonly firestore_emulator: { readonly host: string; readonly port: number } | null;
  readonly mock_user_token: string | null;
  readonly user_id: string | null;
}

export async function loadConfiguration(): Promise<Configuration> {
  const response = await fetch("/config.json", { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`config.json answered ${response.status}`);
  return (await response.json()) as Configuration;
}
