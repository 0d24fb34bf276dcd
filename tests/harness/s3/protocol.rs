//! S3's requests, answered from `contents`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CommonPrefix, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
    DeletedObject, ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, Object as Listed,
    PutBucketNotificationConfigurationInput, PutBucketNotificationConfigurationOutput, PutObjectInput, PutObjectOutput,
    StreamingBlob, Timestamp, UploadPartInput, UploadPartOutput,
};
use s3s::{Body, S3, S3Request, S3Response, S3Result, s3_error};

use super::contents::{Contents, fnv, lock};

/// As the library asks for it.
pub(super) struct Protocol(pub(super) Arc<Contents>);

fn strong(tag: &str) -> ETag {
    ETag::Strong(tag.to_owned())
}

async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(body) = body else { return Ok(Bytes::new()) };
    let pieces: Vec<Bytes> = body.try_collect().await.map_err(|_| s3_error!(IncompleteBody))?;
    Ok(pieces.concat().into())
}

#[async_trait::async_trait]
impl S3 for Protocol {
    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = req.input;
        self.0.admit(&input.bucket)?;
        let bytes = collect(input.body).await?;
        let tag = if input.if_none_match.as_ref().is_some_and(ETagCondition::is_any) {
            let created = self.0.create(&input.bucket, &input.key, bytes).await;
            created.ok_or_else(|| s3_error!(PreconditionFailed))?
        } else {
            self.0.put(&input.bucket, &input.key, bytes, "ObjectCreated:Put")
        };
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(strong(&tag)), ..Default::default() }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        let object = self.0.look(&input.bucket, &input.key)?;
        let is = |condition: &ETagCondition| condition.as_etag().is_none_or(|tag| tag.value() == object.tag);
        if input.if_match.as_ref().is_some_and(|condition| !is(condition)) {
            return Err(s3_error!(PreconditionFailed));
        }
        if input.if_none_match.as_ref().is_some_and(is) {
            return Err(s3_error!(NotModified));
        }
        let len = object.bytes.len() as u64;
        let mut output = GetObjectOutput {
            e_tag: Some(strong(&object.tag)),
            last_modified: Some(Timestamp::from(object.modified)),
            ..Default::default()
        };
        let bytes = match input.range {
            None => object.bytes,
            Some(range) => {
                let range = range.check(len)?;
                output.content_range = Some(format!("bytes {}-{}/{len}", range.start, range.end - 1));
                object.bytes.slice(range.start as usize..range.end as usize)
            }
        };
        output.content_length = Some(bytes.len() as i64);
        output.body = Some(StreamingBlob::from(Body::from(bytes)));
        Ok(S3Response::new(output))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let object = self.0.look(&req.input.bucket, &req.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(object.bytes.len() as i64),
            e_tag: Some(strong(&object.tag)),
            last_modified: Some(Timestamp::from(object.modified)),
            ..Default::default()
        }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.admit(&req.input.bucket)?;
        self.0.delete(&req.input.bucket, &req.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.0.admit(&req.input.bucket)?;
        let mut deleted = Vec::new();
        for object in req.input.delete.objects {
            self.0.delete(&req.input.bucket, &object.key);
            deleted.push(DeletedObject { key: Some(object.key), ..Default::default() });
        }
        Ok(S3Response::new(DeleteObjectsOutput { deleted: Some(deleted), ..Default::default() }))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        self.0.admit(&input.bucket)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.continuation_token.or(input.start_after).unwrap_or_default();
        let max = input.max_keys.unwrap_or(1000).clamp(1, 1000) as usize;
        let mut output =
            ListObjectsV2Output { name: Some(input.bucket.clone()), prefix: input.prefix, ..Default::default() };
        let (mut contents, mut prefixes, mut last, mut truncated) =
            (Vec::new(), Vec::<String>::new(), String::new(), false);
        let objects = lock(&self.0.objects);
        let from = (input.bucket.clone(), prefix.clone().max(after.clone()));
        for ((_, key), object) in
            objects.range(from..).take_while(|((bucket, key), _)| *bucket == input.bucket && key.starts_with(&prefix))
        {
            if *key <= after {
                continue;
            }
            let folder = input.delimiter.as_ref().and_then(|delimiter| {
                let rest = &key[prefix.len()..];
                rest.find(delimiter.as_str()).map(|at| format!("{prefix}{}", &rest[..at + delimiter.len()]))
            });
            if let Some(folder) = &folder
                && (prefixes.last() == Some(folder) || after.starts_with(folder.as_str()))
            {
                last.clone_from(key);
                continue;
            }
            if contents.len() + prefixes.len() >= max {
                truncated = true;
                break;
            }
            last.clone_from(key);
            match folder {
                Some(folder) => prefixes.push(folder),
                None => contents.push(Listed {
                    key: Some(key.clone()),
                    size: Some(object.bytes.len() as i64),
                    e_tag: Some(strong(&object.tag)),
                    last_modified: Some(Timestamp::from(object.modified)),
                    ..Default::default()
                }),
            }
        }
        output.key_count = Some((contents.len() + prefixes.len()) as i32);
        output.is_truncated = Some(truncated);
        output.next_continuation_token = truncated.then_some(last);
        output.contents = Some(contents);
        let common = prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) }).collect();
        output.common_prefixes = Some(common);
        Ok(S3Response::new(output))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.0.admit(&req.input.bucket)?;
        let id = format!("upload-{}", self.0.next());
        lock(&self.0.uploads).insert(id.clone(), BTreeMap::new());
        Ok(S3Response::new(CreateMultipartUploadOutput { upload_id: Some(id), ..Default::default() }))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        self.0.admit(&req.input.bucket)?;
        let bytes = collect(req.input.body).await?;
        let tag = format!("{:016x}", fnv(&bytes));
        let mut uploads = lock(&self.0.uploads);
        let parts = uploads.get_mut(&req.input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        parts.insert(req.input.part_number, bytes);
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(strong(&tag)), ..Default::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.0.admit(&req.input.bucket)?;
        let parts = lock(&self.0.uploads).remove(&req.input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        let bytes = parts.into_values().collect::<Vec<_>>().concat();
        let tag = self.0.put(&req.input.bucket, &req.input.key, bytes.into(), "ObjectCreated:CompleteMultipartUpload");
        Ok(S3Response::new(CompleteMultipartUploadOutput { e_tag: Some(strong(&tag)), ..Default::default() }))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        lock(&self.0.uploads).remove(&req.input.upload_id);
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.0.has_bucket(&req.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        if self.0.has_bucket(&req.input.bucket).is_ok() {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        lock(&self.0.buckets).push(req.input.bucket);
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn put_bucket_notification_configuration(
        &self,
        req: S3Request<PutBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketNotificationConfigurationOutput>> {
        self.0.has_bucket(&req.input.bucket)?;
        let queues = req.input.notification_configuration.queue_configurations.unwrap_or_default();
        if queues.is_empty() {
            return Err(s3_error!(InvalidArgument, "no queue"));
        }
        Ok(S3Response::new(PutBucketNotificationConfigurationOutput::default()))
    }
}
