module runtests

go 1.26
