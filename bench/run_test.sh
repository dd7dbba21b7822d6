#!/bin/bash
# The script that runtests replaces, as its authors published it, but for two things: DIR is taken as it is
# (theirs started from ..) and Maple's directory comes from the environment, since few have one.
# shellcheck disable=all
DIR=`cd $1 ; pwd`
IMAGE=$2

# Maple must be installed in /maple
MACADDRESS=aa:bb:cc:dd:ee:ff # the one given in the Maple license

if [ "${CID}" = "" ]; then\
  export RMOPT="--rm"; \
  export CID=test-${RANDOM}; \
else \
  (docker ps -a --filter=name=${CID} | grep ${CID}) && docker rm ${CID} || echo ; \
fi

docker run ${RMOPT} \
  -v ${DIR}:/test \
  -v ${MAPLE}:/maple \
  --name ${CID} \
  --mac-address="${MACADDRESS}" \
  ${IMAGE} /test/test.sh
