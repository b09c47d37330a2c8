#!/bin/sh
# The contract of chrislusf/seaweedfs: the arguments are those of `weed`.
exec weed "$@"
