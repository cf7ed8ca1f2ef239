-- The roles of BattleScope's database, for PostgreSQL 15 and newer. Once, before the first run, connected to it as a superuser,
-- or as the owner of the database who may create roles. Change the passwords.

-- Owns the schema: for the migrator and nothing else.
create role battlescope_migrator login password 'CHANGE-ME';
-- May read the history and nothing else: for "status" and "status --wait".
create role battlescope_status login password 'CHANGE-ME';
-- Works with the rows: for BattleScope's services.
create role battlescope_app login password 'CHANGE-ME';

-- PostgreSQL lets everybody connect and create temporary tables.
revoke all on database battlescope from public;
grant connect on database battlescope
  to battlescope_migrator, battlescope_status, battlescope_app;

-- Since PostgreSQL 15 nobody but the owner may create in "public".
grant usage, create on schema public to battlescope_migrator;
grant usage on schema public to battlescope_status, battlescope_app;

-- What the migrator creates from now on, the services may use. To say so for another role takes a member of it.
grant battlescope_migrator to current_user;
alter default privileges for role battlescope_migrator in schema public
  grant select, insert, update, delete on tables to battlescope_app;
alter default privileges for role battlescope_migrator in schema public
  grant usage on sequences to battlescope_app;
revoke battlescope_migrator from current_user;
