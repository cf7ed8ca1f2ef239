-- Once, as battlescope_migrator, before the first "up" or at any time after it: who waits for the migrations may read their
-- history. It stays for ever, and these rights with it.

-- The first "up" would make the same table; made here, it can be read from the first moment. A test compares the two.
do $$
begin
  if to_regclass('migration_history') is null then
    create table migration_history (
      id bigint generated always as identity primary key,
      name text not null,
      checksum text not null,
      status text not null constraint migration_history_status_check
        check (status in ('applied', 'baseline', 'rolled_back', 'failed', 'running')),
      started_at timestamptz not null,
      finished_at timestamptz,
      duration_ms integer,
      run_id uuid not null,
      applied_by text not null,
      host text,
      binary_version text not null,
      error text,
      rolled_back_at timestamptz,
      rolled_back_by text,
      rolled_back_run uuid
    );
    create unique index on migration_history (name) where status in ('applied', 'baseline');
  end if;
end
$$;

grant select on migration_history to battlescope_status;
-- No service has a reason to read it, let alone to change it.
revoke all on migration_history from battlescope_app;
