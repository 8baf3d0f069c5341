-- The two roles and databases of FlexCore, each closed to the other's role; run once, over an empty volume.
-- As services/embedded/postgres_roles.py makes them.
\set flexcore `cat /run/secrets/flexcore_password`
\set flexcore_data `cat /run/secrets/flexcore_data_password`
-- A file that cannot be read would make an empty password: this fails first.
SELECT 1 / length(:'flexcore') AS flexcore, 1 / length(:'flexcore_data') AS flexcore_data \gset given_

CREATE ROLE flexcore LOGIN PASSWORD :'flexcore';
CREATE DATABASE flexcore OWNER flexcore;
CREATE ROLE flexcore_data LOGIN PASSWORD :'flexcore_data';
CREATE DATABASE flexcore_data OWNER flexcore_data;
-- Every role may connect to any database unless this is taken from PUBLIC.
REVOKE ALL ON DATABASE flexcore, flexcore_data, postgres, template1 FROM PUBLIC;
