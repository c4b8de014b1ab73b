"""KerasTuner's gRPC channel between the chief's oracle and its workers.

The channel has no authentication. What is added to KerasTuner's own ends of it: the
chief notes when it last heard of each worker, and refuses a worker that has another
config; a worker stops waiting for a chief that does not answer; and the reason why a
trial failed is passed on.
"""

import contextlib
import hashlib
import json
import threading
import time
from concurrent import futures

from keras_dlparts.searching import kerastuner

LOOPBACK = "127.0.0.1"  # reached from this machine only
PATIENCE = 60.0  # seconds a worker waits for an answer of the chief
_BEAT = 5.0  # seconds between a worker's signs of life
# The channel has no place for notes, so they are sent as a hyperparameter of this name.
_NOTES = "dlparts/notes"


def fingerprint(config, settings):
    """A digest of what makes a trial, by which chief and worker compare theirs.

    Args:
        config: the config, of which `search:` and the name do not count.
        settings: the `search:` section, resolved. The objective and its direction
            count, by which a trial keeps its best epoch; the rest is the chief's, or is
            a worker's own.
    """
    plain = {k: v for k, v in config.items() if k not in ("search", "name")}
    told = [plain, settings.objective, settings.direction]
    text = json.dumps(told, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Server:
    """Serves an oracle to workers while it is open.

    Args:
        oracle: one of ours.
        address: `HOST` or `HOST:PORT`; without a port a free one is taken.
        mark: the fingerprint that workers must have.

    Attributes:
        host, port: where it listens.
        heard: {worker id: when it was last heard of, by `time.monotonic`}.
    """

    def __init__(self, oracle, address, mark):
        import grpc

        self.heard = {}
        host, _, port = address.rpartition(":") if ":" in address else (address, "", "")
        self.host = host
        servicer, add = kerastuner.servicer(oracle)
        servicer.EndTrial = self._end(oracle)
        self.server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=4),
            interceptors=[_interceptor(self.heard, mark)],
        )
        add(servicer, self.server)
        try:
            self.port = self.server.add_insecure_port(f"{host}:{port or 0}")
        except RuntimeError as error:
            raise OSError(f"the chief cannot listen on {address}: {error}") from error

    @staticmethod
    def _end(oracle):
        def end(request, context):
            values = request.trial.hyperparameters.values.values
            notes = json.loads(values[_NOTES].string_value or "{}")
            trial = oracle.trials[request.trial.trial_id]
            status = notes.pop("status", "COMPLETED")
            oracle.finish(trial, status, notes.pop("message", None), **notes)
            return kerastuner.messages().EndTrialResponse()

        return end

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *exception):
        self.server.stop(0.5)


def _interceptor(heard, mark):
    import grpc

    class Hear(grpc.ServerInterceptor):
        def intercept_service(self, continuation, details):
            told = dict(details.invocation_metadata)
            if told.get("dlparts-config", mark) != mark:
                return grpc.unary_unary_rpc_method_handler(refuse)
            if "dlparts-worker" in told:
                heard[told["dlparts-worker"]] = time.monotonic()
            return continuation(details)

    def refuse(request, context):
        context.abort(
            grpc.StatusCode.FAILED_PRECONDITION,
            "the chief searches another config, or for another objective or direction; "
            "give the workers the same file and overrides",
        )

    return Hear()


class ChiefGone(RuntimeError):
    """The chief did not answer, or refused this worker."""


class ChiefDone(ChiefGone):
    """The chief ended while this worker had no trial."""


class Client:
    """The chief's oracle, as a worker sees it: what `trial.work` needs of one."""

    def __init__(self, host, port, worker, mark):
        import grpc

        self.grpc = grpc
        # gRPC would go through a proxy that the environment names for the web.
        options = (("grpc.enable_http_proxy", 0),)
        self.channel = grpc.insecure_channel(f"{host}:{port}", options)
        self.stub = kerastuner.stub(self.channel)
        self.messages = kerastuner.messages()
        self.metadata = (("dlparts-worker", worker), ("dlparts-config", mark))
        self.trial_id, self.has_worked = None, False
        threading.Thread(target=self._beat, daemon=True).start()

    def _call(self, name, **fields):
        request = getattr(self.messages, f"{name}Request")(**fields)
        try:
            return getattr(self.stub, name)(
                request,
                wait_for_ready=True,
                timeout=PATIENCE,
                metadata=self.metadata,
            )
        except self.grpc.RpcError as error:
            codes = self.grpc.StatusCode
            silent = error.code() == codes.DEADLINE_EXCEEDED
            if silent or error.code() in (codes.CANCELLED, codes.UNAVAILABLE):
                said = f"no answer in {PATIENCE:.0f} s" if silent else "it went away"
                over = self.has_worked and self.trial_id is None
                raise (ChiefDone if over else ChiefGone)(said) from error
            raise ChiefGone(error.details()) from error

    def _beat(self):
        """Call the chief now and then, so that it can tell a long epoch from a lost
        worker."""
        while True:
            time.sleep(_BEAT)
            if self.trial_id is not None:
                # That the chief is gone is noticed by the trial's own calls.
                with contextlib.suppress(ChiefGone):
                    self._call("GetTrial", trial_id=self.trial_id)

    def create_trial(self, tuner_id):
        reply = self._call("CreateTrial", tuner_id=tuner_id)
        trial = kerastuner.trial_class().from_proto(reply.trial)
        self.trial_id = trial.trial_id if trial.status == "RUNNING" else None
        return trial

    def update_trial(self, trial_id, metrics, step=0):
        reply = self._call("UpdateTrial", trial_id=trial_id, metrics=metrics, step=step)
        return kerastuner.trial_class().from_proto(reply.trial)

    def finish(self, trial, status, message=None, **notes):
        trial.status = "COMPLETED"
        proto = trial.to_proto()
        notes |= {"status": status, "message": message}
        proto.hyperparameters.values.values[_NOTES].string_value = json.dumps(notes)
        self._call("EndTrial", trial=proto)
        self.trial_id, self.has_worked = None, True
