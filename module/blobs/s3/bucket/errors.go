package bucket

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// What a server decides comes with store.ErrUnavailable: only who asked for such a decision
// knows what it means there.

// errAbsent: the server says that there is no such object. It is believed when lists of the
// bucket say the same.
var errAbsent = errors.New("the server says that there is no such object")

// errNoUpload: there is no such multipart upload, or not any more.
var errNoUpload = errors.New("there is no such multipart upload")

// ErrOtherParts: the server has other parts than were sent, or an object of other ones.
var ErrOtherParts = errors.New("the multipart upload has other parts")

// errOtherRange: the object ends before the range that was asked for.
var errOtherRange = errors.New("the object does not have the range")

// errArchived: the object must be restored before it can be read.
var errArchived = errors.New("the object is archived: restore it from its storage class")

// ErrTaken: an object is there that was to be made.
var ErrTaken = errors.New("there is such an object already")

// decisions are the answers of a server that are more than a failure. Every other answer, and
// none, may be another one later.
var decisions = map[string]error{
	minio.NoSuchKey:      errAbsent,
	minio.NoSuchUpload:   errNoUpload,
	"InvalidPart":        ErrOtherParts,
	"InvalidRange":       errOtherRange,
	"InvalidObjectState": errArchived,
	"PreconditionFailed": ErrTaken,
}

func isDecision(err error) bool {
	for _, decision := range decisions {
		if errors.Is(err, decision) {
			return true
		}
	}
	return false
}

// noRoom are the answers of a server that has too little room.
var noRoom = map[string]bool{"QuotaExceeded": true, "QuotaExceededException": true, "XMinioStorageFull": true, "InsufficientStorage": true}

// refusals are the answers that stay the same until the configuration is another one.
var refusals = map[string]string{
	minio.NoSuchBucket:             "the bucket does not exist: make it, or write another one",
	minio.AccessDenied:             "the key may not use the bucket",
	"InvalidAccessKeyId":           "the server does not know the key",
	"XAdminUserNotFound":           "the server does not know the key", // Versity's gateway
	"SignatureDoesNotMatch":        "the secret is not that of the key",
	"InvalidBucketName":            "the bucket cannot have this name",
	"PermanentRedirect":            "the bucket is at another endpoint",
	"AuthorizationHeaderMalformed": "the bucket is in another region",
	"InvalidRegion":                "the bucket is in another region",
}

// translate tells what an error of a request means. The context is the request's.
func translate(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	cause := context.Cause(ctx)
	switch {
	case cause == nil:
	case errors.Is(cause, errSilent), errors.Is(cause, errStopped):
		return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, doing, cause)
	default:
		return fmt.Errorf("%s: %w", doing, cause) // whoever asked does not wait any more
	}
	response := minio.ToErrorResponse(err)
	if noRoom[response.Code] || response.StatusCode == http.StatusInsufficientStorage {
		return fmt.Errorf("%s: %w: %w", doing, store.ErrNoSpace, err)
	}
	if decision, ok := decisions[response.Code]; ok {
		return fmt.Errorf("%w: %s: %w: %w", store.ErrUnavailable, doing, decision, err)
	}
	if response.Code != "" {
		return fmt.Errorf("%w: %s: %s: %w", store.ErrUnavailable, doing, response.Code, err)
	}
	return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, doing, err)
}

// Refused turns what the configuration is to blame for, when a bucket is used for the first
// time, into store.ErrRefused.
func Refused(err error) error {
	var response minio.ErrorResponse
	if !errors.As(err, &response) {
		return err
	}
	if why, ok := refusals[response.Code]; ok {
		return fmt.Errorf("%w: %s: %s", store.ErrRefused, why, response.Message)
	}
	return err
}
