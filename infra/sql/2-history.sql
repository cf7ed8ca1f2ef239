-- Once, after the first "up", which creates the history; as battlescope_migrator, who owns it. It stays for ever, and these
-- rights with it.
grant select on migration_history to battlescope_status;
-- No service has a reason to read it, let alone to change it.
revoke all on migration_history from battlescope_app;
