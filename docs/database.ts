// Made by `deno task insight` from the migrations; do not edit.
import type { ColumnType } from "kysely";

/** What the server fills in where it is left out. */
export type Generated<T> = T extends ColumnType<infer S, infer I, infer U>
  ? ColumnType<S, I | undefined, U>
  : ColumnType<T, T | undefined, T>;

export type Int8 = ColumnType<
  string,
  string | number | bigint,
  string | number | bigint
>;
export type Numeric = ColumnType<string, string | number, string | number>;
export type Timestamp = ColumnType<Date, Date | string, Date | string>;
export type Json = ColumnType<unknown, string, string>;
/** What `pg` makes an object of, as of an interval or a point. */
export type Parsed = ColumnType<object, string, string>;
/** An array of a type that `pg` does not know: it is read as the text that the server sends. */
export type ArrayText<T> = ColumnType<
  string,
  string | readonly T[],
  string | readonly T[]
>;

export type SecurityType =
  | "highsec"
  | "lowsec"
  | "nullsec"
  | "wormhole"
  | "pochven";

export interface AccountFeatureRoles {
  id: Generated<string>;
  account_id: string;
  feature_id: string;
  role_id: string;
  granted_by: string | null;
  created_at: Generated<Timestamp>;
}

export interface Accounts {
  id: Generated<string>;
  email: string | null;
  display_name: string;
  primary_character_id: string | null;
  is_blocked: Generated<boolean>;
  is_deleted: Generated<boolean>;
  is_super_admin: Generated<boolean>;
  last_login_at: Timestamp | null;
  created_at: Generated<Timestamp>;
  updated_at: Generated<Timestamp>;
}

export interface AuditLogs {
  id: Generated<string>;
  actor_account_id: string | null;
  action: string;
  target_type: string;
  target_id: string;
  metadata: Generated<Json>;
  created_at: Generated<Timestamp>;
}

export interface AuthConfig {
  id: Generated<boolean>;
  require_membership: Generated<boolean>;
  allowed_corp_ids: Generated<string[]>;
  allowed_alliance_ids: Generated<string[]>;
  denied_corp_ids: Generated<string[]>;
  denied_alliance_ids: Generated<string[]>;
  updated_at: Generated<Timestamp>;
}

export interface BattleKillmails {
  battle_id: string;
  killmail_id: Int8;
  zkb_url: string;
  occurred_at: Timestamp;
  victim_alliance_id: Int8 | null;
  victim_corp_id: Int8 | null;
  victim_character_id: Int8 | null;
  victim_ship_type_id: Int8 | null;
  attacker_alliance_ids: Generated<string[]>;
  isk_value: Numeric | null;
  side_id: number | null;
  payload: Json | null;
  enriched_at: Timestamp | null;
}

export interface BattleParticipants {
  battle_id: string;
  character_id: Int8;
  alliance_id: Int8 | null;
  corp_id: Int8 | null;
  ship_type_id: Int8 | null;
  side_id: number | null;
  is_victim: Generated<boolean>;
}

export interface Battles {
  id: Generated<string>;
  system_id: Int8;
  security_type: SecurityType;
  start_time: Timestamp;
  end_time: Timestamp;
  total_kills: Generated<Int8>;
  total_isk_destroyed: Generated<Numeric>;
  zkill_related_url: string;
  created_at: Generated<Timestamp>;
}

export interface Characters {
  id: Generated<string>;
  account_id: string;
  eve_character_id: Int8;
  eve_character_name: string;
  corp_id: Int8;
  corp_name: string;
  alliance_id: Int8 | null;
  alliance_name: string | null;
  portrait_url: string | null;
  esi_access_token: Uint8Array | null;
  esi_refresh_token: Uint8Array | null;
  esi_token_expires_at: Timestamp | null;
  scopes: Generated<string[]>;
  last_verified_at: Timestamp | null;
  created_at: Generated<Timestamp>;
  updated_at: Generated<Timestamp>;
}

export interface FeatureSettings {
  id: Generated<string>;
  feature_id: string;
  key: string;
  value: Generated<Json>;
  updated_by: string | null;
  created_at: Generated<Timestamp>;
  updated_at: Generated<Timestamp>;
}

export interface Features {
  id: Generated<string>;
  key: string;
  name: string;
  description: string;
  created_at: Generated<Timestamp>;
  updated_at: Generated<Timestamp>;
}

export interface Killmails {
  killmail_id: Int8;
  system_id: Int8;
  occurred_at: Timestamp;
  victim_alliance_id: Int8 | null;
  victim_corp_id: Int8 | null;
  victim_character_id: Int8 | null;
  attacker_alliance_ids: Generated<string[]>;
  attacker_corp_ids: Generated<string[]>;
  attacker_character_ids: Generated<string[]>;
  isk_value: Numeric | null;
  zkb_url: string;
  fetched_at: Generated<Timestamp>;
  processed_at: Timestamp | null;
  battle_id: string | null;
}

export interface Roles {
  id: Generated<string>;
  key: string;
  name: string;
  rank: number;
  created_at: Generated<Timestamp>;
  updated_at: Generated<Timestamp>;
}

export interface Rulesets {
  id: Generated<string>;
  min_pilots: Generated<number>;
  tracked_alliance_ids: Generated<string[]>;
  tracked_corp_ids: Generated<string[]>;
  tracked_system_ids: Generated<string[]>;
  tracked_security_types: Generated<ArrayText<SecurityType>>;
  ignore_unlisted: Generated<boolean>;
  updated_by: string | null;
  created_at: Generated<Timestamp>;
  updated_at: Generated<Timestamp>;
}

export interface Database {
  account_feature_roles: AccountFeatureRoles;
  accounts: Accounts;
  audit_logs: AuditLogs;
  auth_config: AuthConfig;
  battle_killmails: BattleKillmails;
  battle_participants: BattleParticipants;
  battles: Battles;
  characters: Characters;
  feature_settings: FeatureSettings;
  features: Features;
  killmails: Killmails;
  roles: Roles;
  rulesets: Rulesets;
}
