module indexed-job

go 1.24

require trimtab.dev/sdk v0.1.0

replace trimtab.dev/sdk => ../../sdk/go
