-- Run once, as the superuser, when the database is first made: the owner, who migrates, and the service role, who owns
-- nothing and is bound by row-level security. Grants on tables are the migrations' business.
\set ON_ERROR_STOP on
\set owner_password `cat /run/secrets/owner_password`
\set service_password `cat /run/secrets/service_password`

-- An empty password would be stored as no password at all: divide by its length to stop here.
select 1 / least(length(:'owner_password'), length(:'service_password')) as both_given;

create role tallybook_owner login nosuperuser nocreatedb nocreaterole noreplication nobypassrls
  password :'owner_password';
create role tallybook_service login nosuperuser nocreatedb nocreaterole noreplication nobypassrls noinherit
  password :'service_password';

create database tallybook owner tallybook_owner;
revoke all on database tallybook from public;
grant connect on database tallybook to tallybook_service;

\connect tallybook
revoke all on schema public from public;
grant usage on schema public to tallybook_service;
