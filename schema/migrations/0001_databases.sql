-- The second database holds what the reading user must not see: quotes,
-- answers' texts, salts, later keys, sessions and erase orders. It has no
-- grant there; what it may see of it comes through views with a definer.
-- The first database, `passalong`, is made before the first migration,
-- because the table of applied migrations lives in it.

-- +goose NO TRANSACTION
-- +goose Up
CREATE DATABASE IF NOT EXISTS passalong_private {{on_cluster}};
