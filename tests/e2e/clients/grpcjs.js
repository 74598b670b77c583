// SPDX-License-Identifier: GPL-3.0-or-later
// grpcjs.js: a client of the API with @grpc/grpc-js and protos that are loaded at run time. Job and report: clients_common.py.
'use strict';

const fs = require('fs');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const protobuf = require('protobufjs');
const path = require('path');

const env = process.env;
const definition = loader.loadSync(
  ['causeway/v1/devices.proto', 'causeway/v1/power.proto'],
  { includeDirs: [env.PROTO], enums: String, longs: String, defaults: true, keepCase: false });
const api = grpc.loadPackageDefinition(definition).causeway.v1;
const credentials = grpc.credentials.createSsl(fs.readFileSync(env.CA));
const devices = new api.DeviceService(env.API, credentials);
const power = new api.PowerService(env.API, credentials);

const rpcTypes = new protobuf.Root();
rpcTypes.resolvePath = (origin, target) => path.join(env.PROTO, target);
rpcTypes.loadSync(['google/rpc/status.proto', 'google/rpc/error_details.proto']);

function metadata(token) {
  const m = new grpc.Metadata();
  if (token) {
    m.set('authorization', 'Bearer ' + token);
  }
  return m;
}

// One unary call; resolves to {error, answer}.
function call(client, method, request, seconds = 20, token = env.TOKEN) {
  const options = { deadline: Date.now() + seconds * 1000 };
  return new Promise((resolve) => {
    client[method](request, metadata(token), options, (error, answer) => resolve({ error, answer }));
  });
}

function must(result) {
  if (result.error) {
    throw result.error;
  }
  return result.answer;
}

// What grpc-status-details-bin holds: the ErrorInfo in it.
function errorInfo(error) {
  const Status = rpcTypes.lookupType('google.rpc.Status');
  const ErrorInfo = rpcTypes.lookupType('google.rpc.ErrorInfo');
  const status = Status.decode(error.metadata.get('grpc-status-details-bin')[0]);
  if (status.code !== error.code) {
    throw new Error(`the details say code ${status.code}, the trailer ${error.code}`);
  }
  const any = status.details.find((d) => d.type_url.endsWith('/google.rpc.ErrorInfo'));
  return ErrorInfo.decode(any.value);
}

// Follows the device; resolves when it was seen on, off and on again. synced is called after the snapshot.
function watchCycle(states, synced) {
  const stream = devices.watchDevices({ filter: 'id=' + env.LIVE }, metadata(env.TOKEN), { deadline: Date.now() + 60000 });
  return new Promise((resolve, reject) => {
    let off = false;
    stream.on('data', (event) => {
      if (event.kind === 'DEVICE_EVENT_KIND_SYNC') {
        synced();
      }
      if (!event.device || event.device.powerState === 'POWER_STATE_UNSPECIFIED') {
        return;
      }
      states.push(event.device.powerState);
      off = off || event.device.powerState !== 'POWER_STATE_ON';
      if (off && event.device.powerState === 'POWER_STATE_ON') {
        stream.cancel();
        resolve();
      }
    });
    stream.on('error', (error) => reject(error)); // after cancel: too late to matter
    stream.on('end', () => reject(new Error('the watch ended')));
  });
}

// The code with which a watch ends that has only so many seconds.
function watchDeadline(seconds) {
  const stream = devices.watchDevices({}, metadata(env.TOKEN), { deadline: Date.now() + seconds * 1000 });
  return new Promise((resolve) => {
    stream.on('data', () => {});
    stream.on('error', (error) => resolve(grpc.status[error.code]));
    stream.on('end', () => resolve('OK'));
  });
}

async function main() {
  const report = { states: [] };
  const before = must(await call(power, 'getPowerState', { device: env.LIVE }));
  report.before = before.powerState;
  let synced;
  const ready = new Promise((resolve) => { synced = resolve; });
  const cycle = watchCycle(report.states, synced);
  await Promise.race([ready, cycle]);
  must(await call(power, 'changePower',
    { device: env.LIVE, action: 'POWER_ACTION_POWER_CYCLE', requestId: env.REQUEST_ID }));
  await cycle;

  const gone = await call(power, 'changePower', { device: env.GONE, action: 'POWER_ACTION_ON' });
  const info = errorInfo(gone.error);
  report.offline = { code: grpc.status[gone.error.code], reason: info.reason, domain: info.domain, hint: info.metadata.hint };
  const stranger = await call(power, 'getPowerState', { device: env.LIVE }, 20, null);
  report.unauthenticated = grpc.status[stranger.error.code];
  const late = await call(power, 'getPowerState', { device: env.SLOW }, 1);
  report.deadline_unary = grpc.status[late.error.code];
  report.deadline_stream = await watchDeadline(2);
  console.log(JSON.stringify(report));
  devices.close();
  power.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
