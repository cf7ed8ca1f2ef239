/**
 * The table of commands and options. The parser, the help texts and the README are made from it.
 *
 * @module
 */
export type CommandName =
  | "up"
  | "down"
  | "redo"
  | "status"
  | "baseline"
  | "repair"
  | "backfill"
  | "plan"
  | "verify"
  | "schema"
  | "new"
  | "completions"
  | "help"
  | "version";

/** The shells that there are completions for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = typeof SHELLS[number];

/** What the schema can be printed as, besides JSON. */
export const SCHEMA_FORMS = ["markdown", "mermaid", "types"] as const;
export type SchemaForm = typeof SCHEMA_FORMS[number];

/** The forms of the output, `--format`, that a command has besides those of all. */
export const FORMATS: Readonly<
  Partial<Record<CommandName, readonly string[]>>
> = {
  plan: ["markdown"],
  schema: SCHEMA_FORMS,
};

export interface Option {
  readonly flag: string;
  /** The word that stands for the value; a switch has none. */
  readonly value?: string;
  readonly variable?: string;
  readonly default?: string;
  /** It may be given several times: its values are joined by line breaks. */
  readonly many?: true;
  readonly text: string;
}

/** What help says of a command, and the options that it has. */
interface CommandText {
  readonly usage: string;
  readonly text: string;
  readonly options: readonly Option[];
}

/** The commands in the order in which help lists them. */
export const COMMANDS: Readonly<Record<CommandName, CommandText>> = {
  up: {
    usage: "[up] [options]",
    text: "apply pending migrations (the default command)",
    options: [
      { flag: "to", value: "NAME", text: "apply up to and including NAME" },
      { flag: "steps", value: "N", text: "apply at most N migrations" },
      {
        flag: "dry-run",
        text: "print what would be applied and change nothing",
      },
      {
        flag: "verify",
        text:
          "commit only what the migrations were recorded to make of the schema",
      },
      {
        flag: "allow-out-of-order",
        text: "apply migrations that sort before an applied one",
      },
    ],
  },
  down: {
    usage: "down [options]",
    text: "roll back, newest first (one step unless told)",
    options: [
      {
        flag: "to",
        value: "NAME",
        text: "roll back everything after NAME; NAME stays applied",
      },
      { flag: "steps", value: "N", text: "roll back at most N migrations" },
      { flag: "all", text: "roll back every migration" },
      {
        flag: "dry-run",
        text: "print what would be rolled back and change nothing",
      },
      { flag: "yes", text: "do not ask; required without a terminal" },
    ],
  },
  redo: {
    usage: "redo [options]",
    text: "roll back the last migration and apply it again",
    options: [{ flag: "yes", text: "do not ask; required without a terminal" }],
  },
  status: {
    usage: "status [options]",
    text: "show every migration and its state",
    options: [
      { flag: "check", text: "exit 3 when migrations are pending" },
      {
        flag: "wait",
        value: "DURATION",
        text: "wait until nothing is pending; exit 3 when the time runs out",
      },
    ],
  },
  baseline: {
    usage: "baseline --to NAME | --from-kysely TABLE",
    text: "record migrations as applied without running them",
    options: [
      {
        flag: "to",
        value: "NAME",
        text: "record everything up to and including NAME",
      },
      {
        flag: "from-kysely",
        value: "TABLE",
        text: "record what Kysely's own migration table lists, with its times",
      },
    ],
  },
  repair: {
    usage: "repair --accept-checksum NAME | --retry NAME | --mark-applied NAME",
    text: "settle a failed or edited migration",
    options: [
      {
        flag: "accept-checksum",
        value: "NAME",
        text: "take the checksum of an edited migration into the history",
      },
      {
        flag: "retry",
        value: "NAME",
        text: "let the next up run a failed or interrupted migration again",
      },
      {
        flag: "mark-applied",
        value: "NAME",
        text: "count a failed or interrupted migration as applied",
      },
    ],
  },
  backfill: {
    usage: "backfill pause NAME | resume NAME | set NAME",
    text: "pause, resume or set a backfill at work",
    options: [
      {
        flag: "rest",
        value: "N",
        text:
          "rest after a batch, in times of its work: 0 is none, 1 the default",
      },
      {
        flag: "aim",
        value: "DURATION",
        text: "how long a batch should take; 500ms by default",
      },
    ],
  },
  plan: {
    usage: "plan [up|down] [options]",
    text: "what a run would do to this database: SQL, locks, times, risks",
    options: [
      {
        flag: "to",
        value: "NAME",
        text: "as for up, or for down",
      },
      { flag: "steps", value: "N", text: "as for up, or for down" },
      { flag: "all", text: "with down: every migration" },
      {
        flag: "allow-out-of-order",
        text: "with up: also migrations that sort before an applied one",
      },
      {
        flag: "probe",
        text:
          "ask the rows that are there, too: do they satisfy what will be demanded of them?",
      },
      {
        flag: "strict",
        text:
          "exit 3 for an error that is not accepted, or what is not recorded",
      },
    ],
  },
  verify: {
    usage: "verify [options]",
    text: "compare the schema with what the applied migrations make",
    options: [
      {
        flag: "to",
        value: "NAME",
        text: "compare with the schema up to and including NAME",
      },
      { flag: "grants", text: "also compare who may do what" },
      {
        flag: "allow-extra",
        text: "exit 0 when all that differs is extra",
      },
      {
        flag: "ignore",
        value: "KIND:NAME",
        many: true,
        text:
          "leave out a table, index, column, …, with all that belongs to it; may be repeated",
      },
    ],
  },
  schema: {
    usage: "schema [options]",
    text: "print the schema that the migrations make; needs no database",
    options: [
      {
        flag: "to",
        value: "NAME",
        text: "print the schema up to and including NAME",
      },
    ],
  },
  new: {
    usage: "new NAME",
    text: "create a migration file (source checkout only)",
    options: [],
  },
  completions: {
    usage: `completions ${SHELLS.join("|")}`,
    text: "print what a shell needs to complete commands and options",
    options: [],
  },
  help: {
    usage: "help [COMMAND]",
    text: "show this text, or the options of a command",
    options: [],
  },
  version: {
    usage: "version",
    text: "show the version and what it was built from",
    options: [],
  },
};
