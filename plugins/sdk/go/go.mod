module trimtab.dev/sdk

go 1.24
