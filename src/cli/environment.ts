/** The environment variables of a process: what is not set is missing, and an empty one is treated the same. */
export type Environment = Readonly<Record<string, string | undefined>>;
