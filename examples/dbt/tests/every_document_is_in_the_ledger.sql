-- Ledger and release join on `id`: nothing is in a release that the ledger does not call kept.
select id from {{ source('release', 'documents') }}
except
select id from {{ source('release', 'ledger') }} where kept
